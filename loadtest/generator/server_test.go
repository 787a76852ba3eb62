package generator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/generator"
)

// event is an event as the server reads it.
type event struct {
	Topic   string          `json:"topic"`
	ID      string          `json:"event_id"`
	Payload json.RawMessage `json:"payload"`
}

// result is the answer for one event.
type result struct {
	Outcome  string `json:"outcome"`
	Seq      int64  `json:"seq"`
	Conflict bool   `json:"conflict,omitempty"`
}

// server deduplicates in memory. Its faults are what the generator must find.
type server struct {
	mu       sync.Mutex
	seqs     map[string]int64 // by topic and id
	payloads map[string]string
	requests int

	// refuse says with which status request n, from 1, is refused; 0 lets it in.
	refuse func(n int) int
	// change may change the results of an answer.
	change func(results []result) []result
	// count is how many the answer says were accepted more than there were.
	count int
	// header is set in each answer.
	header http.Header
}

func serve(t testing.TB) (*server, generator.Target) {
	t.Helper()
	s := &server{seqs: map[string]int64{}, payloads: map[string]string{}, header: http.Header{}}
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	target, err := generator.NewTarget(listener.URL, "secret")
	require.NoError(t, err)
	return s, target
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	maps.Copy(w.Header(), s.header)
	if s.refuse != nil {
		if status := s.refuse(s.requests); status != 0 {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, `{"code":"overloaded"}`) // A client that hung up is its own business.
			return
		}
	}
	events, err := read(r)
	if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, err) // As above.
		return
	}
	s.answer(w, events)
}

func read(r *http.Request) (events []event, err error) {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		return nil, err
	}
	if raw[0] == '{' {
		raw = json.RawMessage("[" + string(raw) + "]")
	}
	return events, json.Unmarshal(raw, &events)
}

func (s *server) answer(w http.ResponseWriter, events []event) {
	results, stored := make([]result, 0, len(events)), 0
	for _, e := range events {
		key := e.Topic + " " + e.ID
		seq, seen := s.seqs[key]
		if !seen {
			seq = int64(len(s.seqs) + 1)
			s.seqs[key], s.payloads[key] = seq, string(e.Payload)
			stored++
			results = append(results, result{Outcome: "stored", Seq: seq})
			continue
		}
		results = append(results, result{Outcome: "duplicate", Seq: seq, Conflict: s.payloads[key] != string(e.Payload)})
	}
	if s.change != nil {
		results = s.change(results)
	}
	encoded, _ := json.Marshal(results) // It cannot fail.
	body := fmt.Sprintf(`{"status":"ok","accepted":%d,"stored":%d,"duplicates":%d,"results":%s}`,
		len(events)+s.count, stored, len(events)-stored, encoded)
	_, _ = fmt.Fprint(w, body) // As above.
}

// dial opens connections that are closed at the end of the test.
func dial(t testing.TB, target generator.Target, n int) *generator.Pool {
	t.Helper()
	pool, err := generator.Dial(t.Context(), target, n)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}
