package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/client"
	"sekali/loadtest/proc"
	"sekali/loadtest/result"
)

// forgetful is the variable that makes this test binary a server that keeps its
// events in memory only.
const forgetful = "PROFILE_FORGETFUL_SERVER"

func init() {
	if os.Getenv(forgetful) == "" || len(os.Args) < 2 || os.Args[1] != "serve" {
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "{\"msg\":\"serving\",\"url\":\"http://%s\"}\n", listener.Addr())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() { log.Fatal(http.Serve(listener, newMemory())) }()
	<-ended
	os.Exit(0)
}

// memory answers as a server does whose storage is a map.
type memory struct {
	mu   sync.Mutex
	seqs map[string]int
	list []storedEvent
}

type storedEvent struct {
	Topic       string          `json:"topic"`
	EventID     string          `json:"event_id"`
	Timestamp   string          `json:"timestamp"`
	Source      string          `json:"source"`
	Payload     json.RawMessage `json:"payload"`
	Seq         int             `json:"seq"`
	ProcessedAt string          `json:"processed_at"`
}

func newMemory() http.Handler {
	m := &memory{seqs: make(map[string]int)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"ok","version":"forgetful","uptime_seconds":1}`)
	})
	mux.HandleFunc("GET /stats", m.stats)
	mux.HandleFunc("GET /events", m.events)
	mux.HandleFunc("POST /publish", m.publish)
	return mux
}

func (m *memory) stats(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = fmt.Fprintf(w, `{"received":%d,"unique_processed":%d,"duplicate_dropped":0,"topics":[],"uptime_seconds":1}`, len(m.list), len(m.list))
}

func (m *memory) events(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after, _ := strconv.Atoi(r.FormValue("after")) // "" is 0
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	if r.FormValue("order") == "desc" {
		after = len(m.list) - limit
	}
	_ = json.NewEncoder(w).Encode(m.list[after:min(len(m.list), after+limit)])
}

func (m *memory) publish(w http.ResponseWriter, r *http.Request) {
	var batch []storedEvent
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]string, len(batch))
	stored := 0
	for i, e := range batch {
		seq, known := m.seqs[e.Topic+" "+e.EventID]
		if known {
			results[i] = fmt.Sprintf(`{"outcome":"duplicate","seq":%d}`, seq)
			continue
		}
		stored++
		e.Seq, e.ProcessedAt = len(m.list)+1, time.Now().UTC().Format(time.RFC3339)
		m.list = append(m.list, e)
		m.seqs[e.Topic+" "+e.EventID] = e.Seq
		results[i] = fmt.Sprintf(`{"outcome":"stored","seq":%d}`, e.Seq)
	}
	answer := fmt.Sprintf(`{"status":"ok","accepted":%d,"stored":%d,"duplicates":%d,"results":[%s]}`,
		len(batch), stored, len(batch)-stored, strings.Join(results, ","))
	w.Header().Set("Content-Length", strconv.Itoa(len(answer))) // The generator wants one.
	_, _ = io.WriteString(w, answer)
}

func forgetfulOptions(t *testing.T) Options {
	t.Helper()
	t.Setenv(forgetful, "1")
	executable, err := os.Executable()
	require.NoError(t, err)
	return Options{Executable: executable, DataDir: t.TempDir()}
}

// TestAServerThatForgetsIsFound is the control of the checks: they can fail.
func TestAServerThatForgetsIsFound(t *testing.T) {
	r := &restarter{events: newRestartEvents(), o: RestartOptions{
		Options: forgetfulOptions(t), Events: 1000, Rounds: 1, Load: 50 * time.Millisecond, Connections: 4, Sample: 100, StartTimeout: time.Minute,
	}}
	require.NoError(t, r.prepare(t.Context()))
	require.EqualValues(t, 1001, r.stored, "the first event of the start counts, and the fill sends whole requests")
	require.Empty(t, r.problems.list())
	require.NoError(t, r.round(t.Context(), true))
	require.NoError(t, r.stop())

	require.Len(t, r.starts, 1)
	require.Equal(t, "forgetful", r.version)
	problems := strings.Join(r.problems.list(), "\n")
	require.Contains(t, problems, "the server has 1 events, but must have")
	require.Contains(t, problems, "is stored with seq")
	require.Contains(t, problems, "more", "of a hundred, the first are listed")
	require.Len(t, r.problems.list(), maxProblems+1)
}

func TestAnAcknowledgedEventMustBeADuplicateWithItsSeq(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		right  bool
	}{
		"known":                       {`{"outcome":"duplicate","seq":7}`, true},
		"stored again":                {`{"outcome":"stored","seq":8}`, false},
		"known by another seq":        {`{"outcome":"duplicate","seq":8}`, false},
		"known with another content":  {`{"outcome":"duplicate","seq":7,"conflict":true}`, false},
		"stored again by the old seq": {`{"outcome":"stored","seq":7}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"status":"ok","accepted":1,"stored":0,"duplicates":1,"results":[%s]}`, c.answer)
			}))
			defer server.Close()
			to, err := client.New(server.URL, client.Options{})
			require.NoError(t, err)
			defer to.Close()
			r := &restarter{client: to, events: newRestartEvents()}
			require.NoError(t, r.checkDuplicates(t.Context(), r.events.batch(0, 1), []int64{7}))
			require.Equal(t, c.right, len(r.problems.list()) == 0, r.problems.list())
		})
	}
}

func TestTheCountOfEventsMustBeWhatWasAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		stored, unknown int64
		right           bool
	}{
		"exact":                          {10, 0, true},
		"an event too few":               {11, 0, false},
		"an event too many":              {9, 0, false},
		"one of those without an answer": {9, 3, true},
		"more than all of those":         {6, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"received":10,"unique_processed":10,"duplicate_dropped":0,"topics":[],"uptime_seconds":1}`)
			}))
			defer server.Close()
			to, err := client.New(server.URL, client.Options{})
			require.NoError(t, err)
			defer to.Close()
			r := &restarter{client: to, stored: c.stored, unknown: c.unknown}
			require.NoError(t, r.checkCount(t.Context()))
			require.Equal(t, c.right, len(r.problems.list()) == 0, r.problems.list())
			require.EqualValues(t, 10, r.stored)
			require.Zero(t, r.unknown)
		})
	}
}

func TestIdleMeasuresAServerOnEachDirectory(t *testing.T) {
	o := IdleOptions{Options: forgetfulOptions(t), Settle: time.Millisecond, Duration: 40 * time.Millisecond}
	both, err := Idle(t.Context(), o)
	require.NoError(t, err)
	require.True(t, both.OK(), both.Problems)
	require.Equal(t, "forgetful", both.Version)
	require.Equal(t, []string{"idle memory, most", "idle CPU", "idle CPU, filled server"}, names(both.Goals))
	require.Greater(t, both.Goals[0].Figure, 1.0, "MB that any process has")
	require.Len(t, both.Charts, 2)
	require.NotEmpty(t, both.Charts[0].X)

	o.DataDir = ""
	fresh, err := Idle(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []string{"idle memory, most", "idle CPU"}, names(fresh.Goals))
}

func names(goals []result.Goal) []string {
	var all []string
	for _, g := range goals {
		all = append(all, g.Name)
	}
	return all
}

func TestAServerThatWasNotMeasuredMeetsNoIdleGoal(t *testing.T) {
	var r result.Result
	gone := idleness{samples: proc.Samples{Err: errors.New("it has ended")}}
	gone.addTo(&r, "")
	require.False(t, r.OK())
	require.False(t, r.Goals[0].Met())
	require.True(t, math.IsNaN(gone.memory()))
}

func TestTheResultOfRestartsHasTheLongestOfEachKind(t *testing.T) {
	r := &restarter{version: "1", starts: []restartStart{
		{ready: time.Second, stopping: 3 * time.Second, events: 100},
		{killed: true, ready: 1900 * time.Millisecond, wal: 64 << 20, events: 200},
		{ready: 2 * time.Second, stopping: time.Second, events: 300},
		{killed: true, ready: 2100 * time.Millisecond, wal: 32 << 20, events: 400},
	}}
	out := r.result()
	require.True(t, out.OK())
	require.Equal(t, []float64{2, 2.1}, []float64{out.Goals[0].Figure, out.Goals[1].Figure})
	require.True(t, out.Goals[0].Met())
	require.False(t, out.Goals[1].Met())
	require.Contains(t, out.Goals[0].Base, "400 events")
	require.Equal(t, result.Figure{Name: "clean stop, longest", Value: 3, Unit: "s"}, out.Figures[2])
	require.Equal(t, []float64{1, 2}, out.Charts[0].X)
	require.Equal(t, []float64{64, 32}, out.Charts[0].Lines[2].Y)
	require.Equal(t, []string{"2", "kill -9", "400", "0 MB", "32 MB", "0 MB", "0 µs", "2.1 s"}, out.Tables[0].Rows[3])
}
