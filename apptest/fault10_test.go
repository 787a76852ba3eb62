package apptest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
	"sekali/internal/prove"
)

// excess sends far more than a server may have in flight: each sender its next
// batch as soon as it has an answer, refusals included, half of them to one
// topic. Nothing is sent twice, so that what is stored must be what was
// acknowledged.
type excess struct {
	url            string
	requests       int
	senders, batch int

	http http.Client
	next atomic.Int64

	mu       sync.Mutex
	acked    map[string]bool // ids
	answers  map[string]int  // by code, "ok" for 200
	problems []string
}

func (f *excess) problemf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, fmt.Sprintf(format, args...))
}

// run sends everything.
func (f *excess) run(t *testing.T) {
	t.Helper()
	f.acked, f.answers = make(map[string]bool), make(map[string]int)
	f.http.Transport = &http.Transport{MaxIdleConnsPerHost: f.senders}
	defer f.http.CloseIdleConnections()
	var wait sync.WaitGroup
	for sender := range f.senders {
		wait.Go(func() {
			topic := "hot"
			if sender%2 == 0 {
				topic = fmt.Sprint("topic-", sender)
			}
			for n := f.next.Add(1); n <= int64(f.requests); n = f.next.Add(1) {
				f.send(t, topic, n)
			}
		})
	}
	wait.Wait()
}

func (f *excess) send(t *testing.T, topic string, n int64) {
	var events []sekali.Event
	for i := range f.batch {
		events = append(events, event(topic, fmt.Sprintf("%d-%d", n, i)))
	}
	body, err := encode(events...)
	if err != nil {
		f.problemf("%s", err)
		return
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/publish", bytes.NewReader(body))
	if err != nil {
		f.problemf("%s", err)
		return
	}
	response, err := f.http.Do(request)
	if err != nil {
		f.problemf("no answer: %s", err)
		return
	}
	body, err = io.ReadAll(response.Body)
	_ = response.Body.Close() // read to its end
	if err != nil {
		f.problemf("half an answer: %s", err)
		return
	}
	f.judge(response, body, events)
}

// refusals are the codes with which an overloaded server may refuse: they
// promise that nothing was taken.
var refusals = map[string]int{"overloaded": http.StatusServiceUnavailable, "topic_overloaded": http.StatusTooManyRequests}

func (f *excess) judge(response *http.Response, body []byte, events []sekali.Event) {
	var answer struct {
		Code   string
		Stored int
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		f.problemf("status %d, no JSON: %s", response.StatusCode, body)
		return
	}
	if response.StatusCode == http.StatusOK {
		if answer.Stored != len(events) {
			f.problemf("%d of %d new events were stored", answer.Stored, len(events))
		}
		answer.Code = "ok"
	} else if status, known := refusals[answer.Code]; !known || response.StatusCode != status {
		f.problemf("status %d: %s", response.StatusCode, body)
	} else if after, err := strconv.Atoi(response.Header.Get("Retry-After")); err != nil || after < 1 {
		f.problemf("%s without a Retry-After", answer.Code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[answer.Code]++
	for i := range events {
		if answer.Code == "ok" {
			f.acked[events[i].ID] = true
		}
	}
}

// compare holds what is stored against what was acknowledged.
func (f *excess) compare(t *testing.T, c *client.Client) {
	t.Helper()
	missing := maps.Clone(f.acked)
	for e, err := range c.Events(t.Context(), client.Query{}) {
		require.NoError(t, err)
		if !missing[e.ID] {
			f.problemf("%s is stored and was refused, or is stored twice", e.ID)
		}
		delete(missing, e.ID)
	}
	if len(missing) > 0 {
		f.problemf("%d acknowledged events are not stored", len(missing))
	}
}

func (f *excess) figures() []prove.Figure {
	figures := []prove.Figure{{Name: "requests", Value: float64(f.requests)}, {Name: "acknowledged", Value: float64(len(f.acked)), Unit: "events"}}
	for code, n := range f.answers {
		figures = append(figures, prove.Figure{Name: "answers " + code, Value: float64(n)})
	}
	return figures
}

// TestFault10OverloadIsSaid: a server that gets a multiple of what it may have
// in flight refuses the rest in the form that it documents, keeps what it
// acknowledged and nothing else, and stays within its budget.
func TestFault10OverloadIsSaid(t *testing.T) {
	const limit = 400
	s := startServer(t, t.TempDir(), "--max-in-flight-events", strconv.Itoa(limit), "--max-topic-in-flight-events", "100", "--max-batch-events", "50")
	f := &excess{url: s.url, requests: prove.Count(t, "overload", 3000, 300_000), senders: 64, batch: 50}
	stop, most := make(chan struct{}), make(chan int64, 1)
	go func() { most <- mostInFlight(t, s, stop) }()
	f.run(t)
	close(stop)
	f.compare(t, s.Client)
	seen := <-most
	prove.Report(t, prove.Result{Row: 10, Figures: append(f.figures(), prove.Figure{Name: "most in flight seen", Value: float64(seen), Unit: "events"},
		prove.Figure{Name: "resident memory at the end", Value: residentBytes(t, s.pid()), Unit: "bytes"})})
	require.Empty(t, f.problems)
	require.Positive(t, f.answers["ok"])
	require.Positive(t, f.answers["overloaded"], "the load was too small to overload the server")
	require.Positive(t, f.answers["topic_overloaded"], "the load was too small to overload a topic")
	require.LessOrEqual(t, seen, int64(limit))
	stats := s.stats()
	require.EqualValues(t, len(f.acked), stats.UniqueProcessed)
	require.Zero(t, stats.InFlight)
}

// mostInFlight asks for the counts until stop and returns the most events that
// it saw in flight.
func mostInFlight(t *testing.T, s *server, stop <-chan struct{}) (most int64) {
	for {
		select {
		case <-stop:
			return most
		default:
		}
		stats, err := s.Stats(t.Context())
		if err != nil {
			t.Error(err)
			return most
		}
		most = max(most, stats.InFlight)
	}
}

// residentBytes reads what a process has in memory.
func residentBytes(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // not Linux: the figure is left at nothing
	}
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	require.True(t, found)
	kB, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(t, err)
	return kB * 1024
}

// TestFault10ControlWhatAcceptsAndDropsIsCaught runs the same load against
// servers that do what an overloaded one is tempted to do.
func TestFault10ControlWhatAcceptsAndDropsIsCaught(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter){
		"accepts and drops":      func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"stored":50}`) },
		"refuses without a time": func(w http.ResponseWriter) { http.Error(w, `{"code":"overloaded"}`, http.StatusServiceUnavailable) },
		"refuses with a code that leaves it open": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"code":"commit_timeout"}`, http.StatusServiceUnavailable)
		},
		"hangs up": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					_, _ = io.WriteString(w, "[]") // nothing is stored
					return
				}
				_, _ = io.Copy(io.Discard, r.Body) // or the sender gets a broken connection
				answer(w)
			}))
			defer fake.Close()
			c, err := client.New(fake.URL, client.Options{MaxAttempts: 1})
			require.NoError(t, err)
			defer c.Close()
			f := &excess{url: fake.URL, requests: 100, senders: 4, batch: 50}
			f.run(t)
			f.compare(t, c)
			require.NotEmpty(t, f.problems)
		})
	}
}

// TestFault10ConnectionsComeAndGo: idle connections cost a goroutine and some
// memory each, and nothing when they are gone.
func TestFault10ConnectionsComeAndGo(t *testing.T) {
	connections := prove.Count(t, "connections", 400, 4000)
	s := startServer(t, t.TempDir())
	base := int(s.stats().Goroutines)
	began := residentBytes(t, s.pid())
	var open []net.Conn
	for range connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		open = append(open, conn)
		_, err = io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 4096))
		require.NoError(t, err)
	}
	busy := int(s.stats().Goroutines)
	held := residentBytes(t, s.pid())
	for _, conn := range open {
		require.NoError(t, conn.Close())
	}
	var idle int
	// fasthttp keeps a worker without work for 10 s.
	require.Eventually(t, func() bool { idle = int(s.stats().Goroutines); return float64(idle) <= 1.1*float64(base)+2 }, patience, 100*time.Millisecond)
	prove.Report(t, prove.Result{Row: 10, Figures: []prove.Figure{
		{Name: "connections", Value: float64(connections)},
		{Name: "goroutines before", Value: float64(base)},
		{Name: "goroutines with them", Value: float64(busy)},
		{Name: "goroutines without them", Value: float64(idle)},
		{Name: "memory of a connection", Value: (held - began) / float64(connections), Unit: "bytes"},
	}})
	require.GreaterOrEqual(t, busy, base+connections, "the control: connections are seen in the figure")
}
