package loadtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest"
)

// fakeServer is the part of the API that a load test uses, kept in memory. Its
// faults are what the checks must find.
type fakeServer struct {
	mu        sync.Mutex
	seqs      map[string]int64 // by topic and id
	events    []storedEvent
	topics    map[string]*counts
	published int // requests
	started   time.Time

	// fault may change an answer to a publish, after it was carried out: n
	// counts from 1.
	fault func(n int, results []result) (changed []result, status int)
	// before may refuse a publish, or cut its connection (-1), before it is
	// carried out; 0 lets it through.
	before func(n int) (status int)
	// list may change what is read back.
	list func([]storedEvent) []storedEvent
	// count may change the counts of a topic as they are shown.
	count func(*counts)
}

type wireEvent struct {
	Topic     string          `json:"topic"`
	EventID   string          `json:"event_id"`
	Timestamp string          `json:"timestamp"`
	Source    string          `json:"source"`
	Payload   json.RawMessage `json:"payload"`
}

type storedEvent struct {
	wireEvent
	Seq         int64  `json:"seq"`
	ProcessedAt string `json:"processed_at"`
}

type result struct {
	Outcome  string `json:"outcome"`
	Seq      int64  `json:"seq"`
	Conflict bool   `json:"conflict,omitempty"`
}

type counts struct {
	Topic      string `json:"topic"`
	Unique     int64  `json:"unique_processed"`
	Duplicates int64  `json:"duplicate_dropped"`
	Conflicts  int64  `json:"conflicts"`
}

func newFakeServer(t testing.TB) (*fakeServer, string) {
	t.Helper()
	f := newFake()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL
}

func newFake() *fakeServer {
	return &fakeServer{seqs: map[string]int64{}, topics: map[string]*counts{}, started: time.Unix(1e9, 0).UTC()}
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Path {
	case "/publish":
		f.publish(w, r)
	case "/events":
		f.listEvents(w, r)
	case "/topics":
		f.listTopics(w, r)
	case "/stats":
		reply(w, http.StatusOK, f.stats())
	default:
		reply(w, http.StatusOK, map[string]any{"status": "ok", "version": "fake"})
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // A client that hung up is its own business.
}

func refuse(w http.ResponseWriter, status int) {
	if status < 0 {
		panic(http.ErrAbortHandler)
	}
	reply(w, status, map[string]any{"code": "planted", "detail": "a planted refusal", "request_id": "r"})
}

func (f *fakeServer) publish(w http.ResponseWriter, r *http.Request) {
	var raw json.RawMessage
	var events []wireEvent
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	if raw[0] == '{' {
		raw = slices.Concat([]byte("["), raw, []byte("]"))
	}
	if err := json.Unmarshal(raw, &events); err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	f.published++
	if f.before != nil {
		if status := f.before(f.published); status != 0 {
			refuse(w, status)
			return
		}
	}
	results := make([]result, len(events))
	for i, e := range events {
		results[i] = f.store(e)
	}
	f.answer(w, results)
}

func (f *fakeServer) answer(w http.ResponseWriter, results []result) {
	if f.fault != nil {
		changed, status := f.fault(f.published, results)
		if status != 0 {
			refuse(w, status)
			return
		}
		results = changed
	}
	stored := 0
	for _, r := range results {
		if r.Outcome == "stored" {
			stored++
		}
	}
	reply(w, http.StatusOK, map[string]any{
		"status": "ok", "accepted": len(results), "stored": stored, "duplicates": len(results) - stored, "results": results,
	})
}

func (f *fakeServer) store(e wireEvent) result {
	c := f.topics[e.Topic]
	if c == nil {
		c = &counts{Topic: e.Topic}
		f.topics[e.Topic] = c
	}
	key := e.Topic + "\x00" + e.EventID
	if seq, seen := f.seqs[key]; seen {
		c.Duplicates++
		return result{Outcome: "duplicate", Seq: seq}
	}
	c.Unique++
	seq := int64(len(f.events) + 1)
	f.seqs[key] = seq
	f.events = append(f.events, storedEvent{e, seq, "2025-10-24T10:30:00Z"})
	return result{Outcome: "stored", Seq: seq}
}

func (f *fakeServer) listEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64) // Absent is 0.
	limit, _ := strconv.Atoi(q.Get("limit"))
	all := f.events
	if f.list != nil {
		all = f.list(slices.Clone(all))
	}
	page := []storedEvent{}
	for _, e := range all {
		if e.Topic != q.Get("topic") || e.Seq <= after {
			continue
		}
		if len(page) == limit {
			w.Header().Set("Link", fmt.Sprintf(`</events?topic=%s&limit=%d&after=%d>; rel="next"`, e.Topic, limit, page[limit-1].Seq))
			break
		}
		page = append(page, e)
	}
	reply(w, http.StatusOK, page)
}

func (f *fakeServer) listTopics(w http.ResponseWriter, r *http.Request) {
	page := []counts{}
	for _, c := range f.topics {
		if c.Topic > r.URL.Query().Get("after") {
			page = append(page, *c)
		}
	}
	slices.SortFunc(page, func(a, b counts) int { return strings.Compare(a.Topic, b.Topic) })
	for i := range page {
		if f.count != nil {
			f.count(&page[i])
		}
	}
	reply(w, http.StatusOK, map[string]any{"topics": page})
}

func (f *fakeServer) stats() map[string]any {
	var sum counts
	for _, c := range f.topics {
		sum.Unique += c.Unique
		sum.Duplicates += c.Duplicates
	}
	return map[string]any{
		"received": sum.Unique + sum.Duplicates, "unique_processed": sum.Unique, "duplicate_dropped": sum.Duplicates,
		"topics": []string{}, "uptime_seconds": 1, "started_at": f.started,
	}
}

// small are options of a run that takes no time.
func small(url string) loadtest.Options {
	return loadtest.Options{
		URL: url, Events: 600, DuplicateShare: 0.5, Connections: 4, BatchSize: 20, Topics: 3, Seed: 7,
		Exclusive: true, Timeout: time.Minute,
	}
}

func mustRun(t testing.TB, o loadtest.Options) *loadtest.Report {
	t.Helper()
	report, err := loadtest.Run(t.Context(), o)
	require.NoError(t, err)
	return report
}

func problemsOf(r *loadtest.Report) string { return strings.Join(r.Problems.Listed, "\n") }
