package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/client"
)

// script answers the attempts of one request in turn and notes when and with
// which body they came.
type script struct {
	t      testing.TB
	steps  []step
	at     []time.Time
	bodies []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	s.at = append(s.at, time.Now())
	s.bodies = append(s.bodies, string(body))
	return s.steps[min(len(s.at), len(s.steps))-1].response()
}

// step is what happens to one attempt.
type step struct {
	code   int // 0: the connection breaks
	header http.Header
	body   string
	cutAt  int // the body ends with an error there, unless 0
}

func (s step) response() (*http.Response, error) {
	if s.code == 0 {
		return nil, errors.New("connection reset by peer")
	}
	r := response(s.code, s.header, s.body)
	if s.cutAt > 0 {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(s.body[:s.cutAt]), failingReader{}))
	}
	return r, nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestPassingFailuresAreTriedAgainWithTheSameBytes(t *testing.T) {
	for name, failure := range map[string]step{
		"an overloaded server":      {code: http.StatusServiceUnavailable, body: overloaded},
		"an overloaded topic":       {code: http.StatusTooManyRequests, body: overloaded},
		"a request timeout":         {code: http.StatusRequestTimeout},
		"a full disk":               {code: http.StatusInsufficientStorage, body: overloaded},
		"a bad gateway":             {code: http.StatusBadGateway, body: "<html>"},
		"a broken connection":       {},
		"an answer that was cut":    {code: http.StatusOK, body: storedAnswer(1, 1), cutAt: 20},
		"an answer that is garbage": {code: http.StatusOK, body: "<html>"},
		"an answer for two events":  {code: http.StatusOK, body: storedAnswer(2, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{t: t, steps: []step{failure, failure, {code: 200, body: storedAnswer(1, 1)}}}
				c := newFake(t, client.Options{}, s.RoundTrip)
				results, err := c.Publish(t.Context(), events(1))
				require.NoError(t, err)
				require.Len(t, results, 1)
				require.Len(t, s.bodies, 3)
				require.Equal(t, s.bodies[0], s.bodies[1])
				require.Equal(t, s.bodies[0], s.bodies[2])
			})
		})
	}
}

func TestFinalRefusalsAreNotTriedAgain(t *testing.T) {
	for _, code := range []int{301, 400, 401, 403, 404, 405, 409, 413, 415, 422} {
		s := &script{t: t, steps: []step{{code: code, header: retryAfter("1"), body: overloaded}}}
		c := newFake(t, client.Options{}, s.RoundTrip)
		_, err := c.Publish(t.Context(), events(1))
		var refused *client.APIError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, code, refused.Status)
		require.Len(t, s.at, 1)
	}
}

func TestThePausesGrowExponentiallyUpToTheirMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, steps: []step{{}}}
		c := newFake(t, client.Options{MaxAttempts: 9, MinBackoff: time.Second, MaxBackoff: 20 * time.Second}, s.RoundTrip)
		_, err := c.Publish(t.Context(), events(1))
		require.ErrorContains(t, err, "gave up after 9 attempts")
		require.ErrorContains(t, err, "connection reset by peer")
		require.Len(t, s.at, 9)
		for i, ceiling := range []int{1, 2, 4, 8, 16, 20, 20, 20} {
			require.LessOrEqual(t, s.at[i+1].Sub(s.at[i]), time.Duration(ceiling)*time.Second)
		}
		require.Greater(t, s.at[8].Sub(s.at[0]), time.Second, "nine attempts are not made at once")
	})
}

func TestRetryAfterIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
		s := &script{t: t, steps: []step{
			{code: http.StatusTooManyRequests, header: retryAfter("7"), body: overloaded},
			{code: http.StatusServiceUnavailable, header: retryAfter(date), body: overloaded},
			{code: http.StatusOK, body: storedAnswer(1, 1)},
		}}
		c := newFake(t, client.Options{MinBackoff: time.Second}, s.RoundTrip)
		_, err := c.Publish(t.Context(), events(1))
		require.NoError(t, err)
		first, second := s.at[1].Sub(s.at[0]), s.at[2].Sub(s.at[0])
		require.GreaterOrEqual(t, first, 7*time.Second)
		require.LessOrEqual(t, first, 8*time.Second)
		require.GreaterOrEqual(t, second, 89*time.Second, "HTTP dates have whole seconds")
		require.LessOrEqual(t, second, 91*time.Second)
	})
}

func TestAPauseThatTheDeadlineForbidsIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, steps: []step{{code: http.StatusServiceUnavailable, header: retryAfter("60"), body: overloaded}}}
		c := newFake(t, client.Options{}, s.RoundTrip)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Publish(ctx, events(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var refused *client.APIError
		require.ErrorAs(t, err, &refused, "the server's reason is kept")
		require.Equal(t, 60*time.Second, refused.RetryAfter)
		require.Zero(t, time.Since(start))
	})
}

func TestCancellingEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, steps: []step{{code: http.StatusServiceUnavailable, header: retryAfter("60"), body: overloaded}}}
		c := newFake(t, client.Options{}, s.RoundTrip)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		_, err := c.Publish(ctx, events(1))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestAServerThatHangsIsGivenUpAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := true
		c := newFake(t, client.Options{RequestTimeout: 3 * time.Second}, func(r *http.Request) (*http.Response, error) {
			if hang {
				hang = false
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return response(http.StatusOK, nil, storedAnswer(1, 1)), nil
		})
		start := time.Now()
		_, err := c.Publish(t.Context(), events(1))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 3*time.Second)
	})
}

func TestAConnectionThatIsCutIsReplaced(t *testing.T) {
	var requests atomic.Int32 // A retry has another connection, so another goroutine serves it.
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			readEvents(t, r)
			panic(http.ErrAbortHandler) // The event may have been stored, but no answer leaves.
		}
		write(t, w, http.StatusOK, storedAnswer(1, 1))
	})
	_, err := c.Publish(t.Context(), events(1))
	require.NoError(t, err)
	require.EqualValues(t, 2, requests.Load())
}
