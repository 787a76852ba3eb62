package client_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

func TestPublishSplitsAtTheBatchLimitAndKeepsTheOrder(t *testing.T) {
	var sizes []int
	var next int64 = 1
	c := newServer(t, client.Options{MaxBatchEvents: 2}, func(w http.ResponseWriter, r *http.Request) {
		n := len(readEvents(t, r))
		sizes = append(sizes, n)
		write(t, w, http.StatusOK, storedAnswer(n, next))
		next += int64(n)
	})
	results, err := c.Publish(t.Context(), events(5))
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 1}, sizes)
	require.Len(t, results, 5)
	for i, r := range results {
		require.Equal(t, client.Result{Outcome: sekali.OutcomeStored, Seq: int64(i + 1)}, r)
	}
}

func TestPublishSplitsAtTheByteLimitAndSendsALargeEventAlone(t *testing.T) {
	var sizes []int
	c := newServer(t, client.Options{MaxBatchBytes: 300}, func(w http.ResponseWriter, r *http.Request) {
		n := len(readEvents(t, r))
		sizes = append(sizes, n)
		write(t, w, http.StatusOK, storedAnswer(n, 1))
	})
	list := events(4)
	list[2].Payload = []byte(`{"data":"` + strings.Repeat("x", 400) + `"}`)
	results, err := c.Publish(t.Context(), list)
	require.NoError(t, err)
	require.Len(t, results, 4)
	require.Equal(t, []int{2, 1, 1}, sizes)
}

func TestPublishOfNothingSendsNothing(t *testing.T) {
	c := newServer(t, client.Options{}, func(http.ResponseWriter, *http.Request) {
		t.Error("a request was sent")
	})
	results, err := c.Publish(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, results)
}

func TestPublishSendsEventsAndHeadersAsTheContractSays(t *testing.T) {
	at := time.Date(2025, 10, 24, 10, 30, 0, 5, time.FixedZone("", 7*3600))
	var got *http.Request
	var arrived []wireEvent
	c := newServer(t, client.Options{APIKey: "k-1"}, func(w http.ResponseWriter, r *http.Request) {
		got, arrived = r, readEvents(t, r)
		write(t, w, http.StatusOK, storedAnswer(2, 1))
	})
	_, err := c.Publish(t.Context(), []sekali.Event{
		{
			Topic: "a\"b\\c ✓", ID: "1", Source: "s", Timestamp: "2025-10-24 10:30:00+07:00",
			Payload: []byte(`{"n":9007199254740993, "e":[]}`),
		},
		{Topic: "t", ID: "2", Source: "s", Time: at},
	})
	require.NoError(t, err)
	require.Equal(t, "/publish", got.URL.Path)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, "Bearer k-1", got.Header.Get("Authorization"))
	require.Equal(t, "sekali-go", got.Header.Get("User-Agent"))
	require.Equal(t, []wireEvent{
		{"a\"b\\c ✓", "1", "2025-10-24 10:30:00+07:00", "s", []byte(`{"n":9007199254740993, "e":[]}`)},
		{"t", "2", "2025-10-24T10:30:00.000000005+07:00", "s", []byte(`{}`)},
	}, arrived)
}

func TestPublishReadsDuplicatesAndConflicts(t *testing.T) {
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		write(t, w, http.StatusOK, `{"status":"ok","accepted":2,"stored":0,"duplicates":2,"durability":"full",`+
			`"results":[{"outcome":"duplicate","seq":17},{"outcome":"duplicate","seq":18,"conflict":true,"new":[{}]}]}`)
	})
	results, err := c.Publish(t.Context(), events(2))
	require.NoError(t, err)
	require.Equal(t, []client.Result{
		{Outcome: sekali.OutcomeDuplicate, Seq: 17},
		{Outcome: sekali.OutcomeDuplicate, Seq: 18, Conflict: true},
	}, results)
}

func TestPublishReturnsWhatWasAnsweredBeforeALaterRequestFailed(t *testing.T) {
	var requests int
	c := newServer(t, client.Options{MaxBatchEvents: 2}, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if requests == 2 {
			w.Header().Set("X-Request-Id", "r-7")
			write(t, w, http.StatusUnprocessableEntity, `{"code":"invalid_event","request_id":"r-7",`+
				`"detail":[{"loc":["body",1,"event_id"],"msg":"Field required","type":"missing"}]}`)
			return
		}
		write(t, w, http.StatusOK, storedAnswer(2, 1))
	})
	results, err := c.Publish(t.Context(), events(6))
	require.Len(t, results, 2)
	var refused *client.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, &client.APIError{
		Status: 422, Code: "invalid_event", Detail: "body.1.event_id: Field required", RequestID: "r-7",
		Fields: []client.FieldError{{Loc: "body.1.event_id", Msg: "Field required", Type: "missing"}},
	}, refused)
	require.ErrorContains(t, err, "publish events 2 to 3")
	require.Equal(t, 2, requests, "a 422 must not be tried again")
}

func TestPublishRefusesWhatItCannotEncode(t *testing.T) {
	var got atomic.Int64
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		n := len(readEvents(t, r))
		got.Add(int64(n))
		write(t, w, http.StatusOK, storedAnswer(n, 1))
	})
	for name, spoil := range map[string]func(*sekali.Event){
		"no time at all":                func(e *sekali.Event) { e.Timestamp = "" },
		"a payload that is an array":    func(e *sekali.Event) { e.Payload = []byte(`[]`) },
		"a payload that is not JSON":    func(e *sekali.Event) { e.Payload = []byte(`{"a":}`) },
		"a payload that breaks framing": func(e *sekali.Event) { e.Payload = []byte(`{}},{"topic":"x"`) },
		"an empty payload":              func(e *sekali.Event) { e.Payload = []byte{} },
		"an id that is not UTF-8":       func(e *sekali.Event) { e.ID = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			got.Store(0)
			list := events(3)
			spoil(&list[2])
			results, err := c.Publish(t.Context(), list)
			require.ErrorContains(t, err, "encode event 2")
			require.Len(t, results, 2, "the events before it are sent")
			require.EqualValues(t, 2, got.Load())
		})
	}
}

func TestPublishOnceReportsEachAttemptAsItWas(t *testing.T) {
	statuses := []int{http.StatusServiceUnavailable, http.StatusOK}
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		status := statuses[0]
		statuses = statuses[1:]
		w.Header().Set("X-Request-Id", "r-1")
		if status != http.StatusOK {
			w.Header().Set("Retry-After", "3")
			write(t, w, status, overloaded)
			return
		}
		write(t, w, status, storedAnswer(1, 5))
	})
	body, err := client.AppendEvent(nil, new(event("a")))
	require.NoError(t, err)

	answer, err := c.PublishOnce(t.Context(), client.Request{Body: body})
	require.Equal(t, &client.APIError{
		Status: 503, Code: "overloaded", Detail: "too much at once", RequestID: "r-1", RetryAfter: 3 * time.Second,
	}, err)
	require.True(t, client.Retryable(err))
	require.Equal(t, 503, answer.Status)
	require.Positive(t, answer.Latency)

	answer, err = c.PublishOnce(t.Context(), client.Request{Body: body})
	require.NoError(t, err)
	require.Equal(t, 200, answer.Status)
	require.Equal(t, "r-1", answer.RequestID)
	require.Equal(t, []client.Result{{Outcome: sekali.OutcomeStored, Seq: 5}}, answer.Results)
}

func TestAnAnswerThatIsNotSekalisIsNoAnswer(t *testing.T) {
	for name, body := range map[string]string{
		"HTML":                   `<html>sign in</html>`,
		"another JSON":           `{"ok":true}`,
		"cut off":                storedAnswer(1, 1)[:50],
		"something behind it":    storedAnswer(1, 1) + `{}`,
		"an unknown outcome":     strings.Replace(storedAnswer(1, 1), "stored\",", "kept\",", 1),
		"a result without one":   `{"accepted":1,"results":[{"seq":1}]}`,
		"a seq that is a string": `{"accepted":1,"results":[{"outcome":"stored","seq":"1"}]}`,
		"a seq with a fraction":  `{"accepted":1,"results":[{"outcome":"stored","seq":1.5}]}`,
		"a member twice":         `{"accepted":1,"accepted":2,"results":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t, client.Options{}, func(*http.Request) (*http.Response, error) {
				return response(http.StatusOK, nil, body), nil
			})
			_, err := c.PublishOnce(t.Context(), client.Request{Body: []byte(`{}`)})
			var none *client.NoAnswerError
			require.ErrorAs(t, err, &none)
			require.True(t, client.Retryable(err))
			require.False(t, none.Unsent())
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var paths []string
	c := newServer(t, client.Options{APIKey: "secret"}, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := c.Publish(t.Context(), events(1))
	var refused *client.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusTemporaryRedirect, refused.Status)
	require.Equal(t, []string{"/publish"}, paths)
}

func TestAServerThatIsNotThereIsUnsent(t *testing.T) {
	c, err := client.New("http://127.0.0.1:1", client.Options{MaxAttempts: 1})
	require.NoError(t, err)
	_, err = c.Publish(t.Context(), events(1))
	var none *client.NoAnswerError
	require.ErrorAs(t, err, &none)
	require.True(t, none.Unsent())
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, base := range map[string]string{
		"no scheme":        "127.0.0.1:8080",
		"another scheme":   "ftp://host",
		"no host":          "http://",
		"a password in it": "http://u:p@host",
		"a query":          "http://host/?a=b",
		"not a URL":        "http://ho st/",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.New(base, client.Options{})
			require.Error(t, err)
			require.NotContains(t, err.Error(), ":p@", "no secret in the error")
		})
	}
	_, err := client.New("http://host", client.Options{MaxAttempts: -1})
	require.Error(t, err)
	_, err = client.New("http://host", client.Options{APIKey: "a\r\nX: y"})
	require.Error(t, err)
}

func TestAPathInTheBaseURLIsAPrefix(t *testing.T) {
	var path string
	c, err := client.New("http://sekali.test/gate/", client.Options{HTTPClient: &http.Client{
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			path = r.URL.Path
			return response(http.StatusOK, nil, storedAnswer(1, 1)), nil
		}),
	}})
	require.NoError(t, err)
	_, err = c.Publish(t.Context(), events(1))
	require.NoError(t, err)
	require.Equal(t, "/gate/publish", path)
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, storedAnswer(2, 1))
	f.Add(200, `{"accepted":0,"results":null}`)
	f.Add(503, overloaded)
	f.Add(422, `{"code":"invalid_event","detail":[{"loc":["body",0,"x"],"msg":"m","type":"t"}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		c := newFake(t, client.Options{}, func(*http.Request) (*http.Response, error) {
			return response(status, nil, body), nil
		})
		answer, err := c.PublishOnce(t.Context(), client.Request{Body: []byte(`{}`)})
		if err == nil {
			require.Equal(t, 200, answer.Status)
			for _, r := range answer.Results {
				require.NotEqual(t, sekali.OutcomeUnknown, r.Outcome)
			}
			return
		}
		var transportError *url.Error
		require.NotErrorAs(t, err, &transportError, "the fake transport does not fail")
	})
}
