package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// gate is a fake server that stores everything, but not before it is opened.
type gate struct {
	t       testing.TB
	open    chan struct{} // nil is open
	mu      sync.Mutex
	sizes   []int
	lenient int
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	list := readEvents(g.t, r)
	g.mu.Lock()
	g.sizes = append(g.sizes, len(list))
	if r.Header.Get("Prefer") == "handling=lenient" {
		g.lenient++
	}
	g.mu.Unlock()
	if g.open != nil {
		select {
		case <-g.open:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return response(http.StatusOK, nil, g.answer(list)), nil
}

func (g *gate) sizesSeen() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sizes)
}

// answer gives each event its id's number as the seq and refuses "bad".
func (g *gate) answer(list []wireEvent) string {
	results := make([]string, len(list))
	for i, e := range list {
		if e.EventID == "bad" {
			results[i] = `{"outcome":"invalid","detail":[{"loc":["body",` + fmt.Sprint(i) + `,"event_id"],"msg":"no","type":"x"}]}`
			continue
		}
		var payload struct{ Seq int64 }
		require.NoError(g.t, json.Unmarshal(e.Payload, &payload))
		results[i] = fmt.Sprintf(`{"outcome":"stored","seq":%d}`, payload.Seq)
	}
	return fmt.Sprintf(`{"accepted":%d,"results":[%s]}`, len(list), strings.Join(results, ","))
}

func numbered(n int) sekali.Event {
	e := event(fmt.Sprint("e-", n))
	e.Payload = fmt.Appendf(nil, `{"seq":%d}`, n)
	return e
}

func TestABatcherGivesEachCallerItsOwnResultFromSharedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t}
		b := newFake(t, client.Options{}, g.RoundTrip).NewBatcher(client.BatcherOptions{MaxEvents: 10})
		var callers sync.WaitGroup
		for n := 1; n <= 95; n++ {
			callers.Go(func() {
				r, err := b.Publish(t.Context(), numbered(n))
				if err != nil || r.Seq != int64(n) || r.Outcome != sekali.OutcomeStored {
					t.Errorf("event %d: %+v, %v", n, r, err)
				}
			})
		}
		callers.Wait()
		require.NoError(t, b.Close(t.Context()))
		total := 0
		for _, size := range g.sizes {
			require.LessOrEqual(t, size, 10)
			total += size
		}
		require.Equal(t, 95, total)
		require.LessOrEqual(t, len(g.sizes), 20, "single events were sent on their own")
		require.Equal(t, len(g.sizes), g.lenient)
	})
}

func TestALoneEventWaitsForTheLingerTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t}
		b := newFake(t, client.Options{}, g.RoundTrip).NewBatcher(client.BatcherOptions{Linger: 5 * time.Millisecond})
		start := time.Now()
		_, err := b.Publish(t.Context(), numbered(1))
		require.NoError(t, err)
		require.Equal(t, 5*time.Millisecond, time.Since(start))
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestAFullBatcherBlocksUntilThereIsRoomOrTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, open: make(chan struct{})}
		c := newFake(t, client.Options{RequestTimeout: time.Hour}, g.RoundTrip)
		b := c.NewBatcher(client.BatcherOptions{MaxEvents: 2, Senders: 2})
		var taken sync.WaitGroup
		for n := range 6 { // Two batches on their way and one collected.
			taken.Go(func() {
				if _, err := b.Publish(t.Context(), numbered(n)); err != nil {
					t.Errorf("event %d: %v", n, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := b.Publish(ctx, numbered(7))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []int{2, 2}, g.sizesSeen())

		close(g.open)
		taken.Wait()
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, []int{2, 2, 2}, g.sizes, "the event that was given up in time is not sent")
	})
}

func TestAnInvalidEventDoesNotDisturbItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t}
		b := newFake(t, client.Options{}, g.RoundTrip).NewBatcher(client.BatcherOptions{MaxEvents: 2})
		var neighbour sync.WaitGroup
		neighbour.Go(func() {
			if r, err := b.Publish(t.Context(), numbered(3)); err != nil || r.Seq != 3 {
				t.Errorf("%+v, %v", r, err)
			}
		})
		bad := numbered(4)
		bad.ID = "bad"
		r, err := b.Publish(t.Context(), bad)
		var refused *client.APIError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 422, refused.Status)
		require.Len(t, refused.Fields, 1)
		require.Equal(t, sekali.OutcomeInvalid, r.Outcome)
		neighbour.Wait()
		require.Equal(t, []int{2}, g.sizes)
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestCloseSendsWhatWasCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t}
		b := newFake(t, client.Options{}, g.RoundTrip).NewBatcher(client.BatcherOptions{Linger: time.Hour})
		var caller sync.WaitGroup
		caller.Go(func() {
			if _, err := b.Publish(t.Context(), numbered(1)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Close(t.Context()))
		caller.Wait()
		require.Zero(t, time.Since(start))
		require.Equal(t, []int{1}, g.sizes)

		_, err := b.Publish(t.Context(), numbered(2))
		require.ErrorIs(t, err, client.ErrClosed)
		require.NoError(t, b.Close(t.Context()), "a second Close does nothing")
	})
}

func TestCloseCancelsTheRequestsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, open: make(chan struct{})}
		b := newFake(t, client.Options{}, g.RoundTrip).NewBatcher(client.BatcherOptions{})
		var caller sync.WaitGroup
		caller.Go(func() {
			if _, err := b.Publish(t.Context(), numbered(1)); err == nil {
				t.Error("an event without an answer must be an error")
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.Close(ctx), context.DeadlineExceeded)
		caller.Wait()
	})
}

func TestACallerThatGivesUpLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, open: make(chan struct{})}
		b := newFake(t, client.Options{}, g.RoundTrip).NewBatcher(client.BatcherOptions{MaxEvents: 2})
		var other sync.WaitGroup
		other.Go(func() {
			if _, err := b.Publish(t.Context(), numbered(1)); err != nil {
				t.Error(err)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Publish(ctx, numbered(2))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "may still be stored")
		close(g.open)
		other.Wait()
		require.NoError(t, b.Close(t.Context()))
	})
}
