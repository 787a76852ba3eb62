package profile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/client"
	"sekali/loadtest"
	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// gate deduplicates in memory. Its faults are what verifying must find.
type gate struct {
	mu         sync.Mutex
	payloads   map[string]json.RawMessage // by topic and id
	topics     map[string]int64           // stored
	duplicates int64

	loses    func(id string) bool // is stored in nobody's memory, but acknowledged
	extra    int64                // of what /topics counts, on each topic
	invented int64                // duplicates in /stats that nobody sent
	garbles  bool                 // changes payloads
}

// newGate serves a gate and returns it with a session that loads it.
func newGate(t *testing.T) (*gate, *session) {
	t.Helper()
	g := &gate{payloads: map[string]json.RawMessage{}, topics: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", g.publish)
	mux.HandleFunc("GET /topics", g.listTopics)
	mux.HandleFunc("GET /topics/{topic}/events/{id}", g.event)
	mux.HandleFunc("GET /stats", g.stats)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return g, newSession(t, server.URL)
}

func newSession(t *testing.T, url string) *session {
	t.Helper()
	s := &session{result: &result.Result{}, server: &loadtest.Server{URL: url}}
	var err error
	s.target, err = generator.NewTarget(url, "")
	require.NoError(t, err)
	s.client, err = client.New(url, client.Options{MaxAttempts: 1})
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	return s
}

func (g *gate) publish(w http.ResponseWriter, r *http.Request) {
	var events []struct {
		Topic   string          `json:"topic"`
		ID      string          `json:"event_id"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var results []string
	stored := 0
	for _, e := range events {
		key := e.Topic + " " + e.ID
		if _, seen := g.payloads[key]; seen {
			g.duplicates++
			results = append(results, `{"outcome":"duplicate","seq":1}`)
			continue
		}
		stored++
		results = append(results, `{"outcome":"stored","seq":1}`)
		if g.loses == nil || !g.loses(e.ID) {
			g.payloads[key] = e.Payload
			g.topics[e.Topic]++
		}
	}
	reply(w, `{"status":"ok","accepted":%d,"stored":%d,"duplicates":%d,"results":[%s]}`,
		len(events), stored, len(events)-stored, strings.Join(results, ","))
}

func reply(w http.ResponseWriter, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...) // A client that hung up is its own business.
}

func (g *gate) listTopics(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var topics []string
	for name, n := range g.topics {
		topics = append(topics, fmt.Sprintf(`{"topic":%q,"unique_processed":%d}`, name, n+g.extra))
	}
	reply(w, `{"topics":[%s]}`, strings.Join(topics, ","))
}

func (g *gate) event(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	payload, found := g.payloads[r.PathValue("topic")+" "+r.PathValue("id")]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		reply(w, `{"code":"not_found","detail":"it is not there","request_id":"r"}`)
		return
	}
	if g.garbles {
		payload = json.RawMessage(`{}`)
	}
	reply(w, `{"topic":%q,"event_id":%q,"timestamp":"2025-10-24T10:30:00Z","source":"s","payload":%s,"seq":1,`+
		`"processed_at":"2025-10-24T10:30:00Z","first_seen":"2025-10-24T10:30:00Z","duplicates":0}`, r.PathValue("topic"), r.PathValue("id"), payload)
}

func (g *gate) stats(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	unique := int64(0)
	for _, n := range g.topics {
		unique += n
	}
	reply(w, `{"received":%d,"unique_processed":%d,"duplicate_dropped":%d}`, unique+g.duplicates, unique, g.duplicates+g.invented)
}

var small = load{connections: 3, batch: 10, topics: 4}

// fillSome publishes 400 events, a third of them repeats.
func fillSome(t *testing.T, s *session) *sent {
	t.Helper()
	x := s.stream(small, generator.Repeats{Share: 0.3}, generator.SendAgain)
	_, err := s.fill(t.Context(), x, 400)
	require.NoError(t, err)
	return x
}

func TestASoundServerVerifies(t *testing.T) {
	_, s := newGate(t)
	s.server = nil
	x := fillSome(t, s)
	require.NoError(t, s.verify(t.Context()))
	require.Empty(t, s.result.Problems)
	require.EqualValues(t, 400, x.stored+x.duplicates)
	require.Positive(t, x.duplicates)
}

func TestWhatTheServerLostOrMiscountedIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*gate)
		want  string
	}{
		"an acknowledged event that is lost": {func(g *gate) { g.loses = func(id string) bool { return id[0] == '0' } }, "are lost"},
		"more events than were sent":         {func(g *gate) { g.extra = 100 }, "were sent"},
		"a payload that was changed":         {func(g *gate) { g.garbles = true }, "came back changed"},
		"a duplicate that nobody sent":       {func(g *gate) { g.invented = 1 }, "/stats grew by"},
	} {
		t.Run(name, func(t *testing.T) {
			g, s := newGate(t)
			s.server = nil // It is no process whose files could be measured.
			c.plant(g)
			x := s.stream(small, generator.Repeats{}, generator.SendAgain)
			_, err := s.fill(t.Context(), x, 400)
			require.NoError(t, err)
			s.server = &loadtest.Server{}
			if err := s.verify(t.Context()); err != nil {
				s.problem("%s", err)
			}
			require.Contains(t, strings.Join(s.result.Problems, "\n"), c.want)
		})
	}
}

func TestTheEventsOfEarlierRunsAreFoundByTheirTopics(t *testing.T) {
	g, s := newGate(t)
	s.server = nil
	first, second := fillSome(t, s), fillSome(t, s)
	gaps := s.stream(small, generator.Repeats{}, generator.LeaveOut)
	_, err := s.fill(t.Context(), gaps, 100)
	require.NoError(t, err)
	g.topics["somebody.else"] = 12
	missing := generator.NewRun(3, 3, 2)
	g.topics[missing.Topic(0)], g.topics[missing.Topic(1)] = 20, 20 // counted, but none of the numbers is there
	known, err := s.known(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []generator.Known{
		{Run: first.stream.Run(), Count: first.stream.Sent()}, {Run: second.stream.Run(), Count: second.stream.Sent()},
	}, known)
}
