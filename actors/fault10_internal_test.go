package actors

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// forgetfulStore takes everything as new and keeps nothing, so that what is
// left in memory is the engine's.
type forgetfulStore struct {
	sekali.Store
	seq int64
}

func (s *forgetfulStore) AppendBatch(_ context.Context, b sekali.Batch) (a sekali.Appended, _ error) {
	for i := range b.Events {
		s.seq++
		a.Decisions = append(a.Decisions, sekali.Decision{Stored: true, Seq: s.seq})
		a.NewTopics = append(a.NewTopics, b.Events[i].Topic)
	}
	return a, nil
}

func (s *forgetfulStore) Ready() error { return nil }

func (s *forgetfulStore) Totals(context.Context) (sekali.Totals, error) { return sekali.Totals{}, nil }

func (s *forgetfulStore) Topics(context.Context, sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	return nil, nil
}

// use is what a process takes when nothing goes on.
type use struct {
	goroutines int
	heap       uint64
}

func measureUse() use {
	debug.FreeOSMemory() // collects
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return use{runtime.NumGoroutine(), m.HeapAlloc}
}

// crowd is a system that gets one event for each of many topics.
type crowd struct {
	t    *testing.T
	s    *System
	sent int
	most int // topics awake at a time
	rest int // actors without any topic
}

func newCrowd(t *testing.T, o Options) *crowd {
	t.Helper()
	s, err := New(t.Context(), &forgetfulStore{}, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	c := &crowd{t: t, s: s}
	c.rest = c.processes()
	return c
}

// send sends to so many topics that were never used, in requests of 100.
func (c *crowd) send(topics int) {
	c.t.Helper()
	for left := topics; left > 0; {
		var wait sync.WaitGroup
		for range min(8, (left+99)/100) {
			var batch []sekali.Event
			for range min(100, left) {
				batch = append(batch, eventOf(fmt.Sprintf("topic-%d", c.sent), "a"))
				c.sent++
				left--
			}
			wait.Go(func() {
				_, err := c.s.Ingest(c.t.Context(), batch)
				if err != nil {
					c.t.Error(err)
				}
			})
		}
		wait.Wait()
		_, active := c.s.admission.inUse()
		c.most = max(c.most, active)
	}
}

// sleep waits until every topic sleeps that may.
func (c *crowd) sleep() {
	c.t.Helper()
	c.s.actors.Root.Send(c.s.router, &sweepIdle{before: time.Now().Add(time.Hour)})
	require.Eventually(c.t, func() bool { _, active := c.s.admission.inUse(); return active == 0 && c.processes() == c.rest },
		time.Minute, 10*time.Millisecond, "only what was there at the start is left")
}

// rounds measures a system before any topic, after a first crowd that filled
// what may be awake, and after a second one of so many topics.
type rounds struct{ fresh, base, busy, idle use }

func (c *crowd) run(first, topics int, sleep func()) (r rounds) {
	c.t.Helper()
	r.fresh = measureUse()
	c.send(first)
	sleep()
	r.base = measureUse()
	c.send(topics)
	r.busy = measureUse()
	sleep()
	r.idle = measureUse()
	return r
}

func (r rounds) figures(topics, most int) []prove.Figure {
	return []prove.Figure{
		{Name: "topics", Value: float64(topics)},
		{Name: "most awake", Value: float64(most)},
		{Name: "goroutines before", Value: float64(r.base.goroutines)},
		{Name: "goroutines idle again", Value: float64(r.idle.goroutines)},
		{Name: "heap before any topic", Value: float64(r.fresh.heap), Unit: "bytes"},
		{Name: "heap before", Value: float64(r.base.heap), Unit: "bytes"},
		{Name: "heap busy", Value: float64(r.busy.heap), Unit: "bytes"},
		{Name: "heap idle again", Value: float64(r.idle.heap), Unit: "bytes"},
	}
}

const (
	mostAwake  = 1000
	poolsBytes = 512 << 10 // what pools of the runtime and the tests may keep
)

// processes returns how many actors there are.
func (c *crowd) processes() (n int) {
	for _, bucket := range c.s.actors.ProcessRegistry.LocalPIDs.LocalPIDs {
		n += bucket.Count()
	}
	return n
}

// TestFault10TopicsComeAndGo: however many topics there were, an idle engine
// takes what it took before, but for tables as large as the most that were
// awake at a time.
func TestFault10TopicsComeAndGo(t *testing.T) {
	topics := prove.Count(t, "topics", 10_000, 1_000_000)
	c := newCrowd(t, Options{MaxActiveTopics: mostAwake})
	r := c.run(2*mostAwake, topics, c.sleep)
	prove.Report(t, prove.Result{Row: 10, Figures: r.figures(topics, c.most)})
	require.LessOrEqual(t, float64(r.idle.heap), 1.1*float64(r.base.heap)+poolsBytes)
	require.LessOrEqual(t, float64(r.idle.goroutines), 1.1*float64(r.base.goroutines))
	require.LessOrEqual(t, c.most, mostAwake+1000, "awake beyond the limit is only what is in flight")
}

// TestFault10ControlTopicsStay: without passivation memory does not come back.
func TestFault10ControlTopicsStay(t *testing.T) {
	const topics = 10_000
	c := newCrowd(t, Options{MaxActiveTopics: 2 * topics, TopicIdleTimeout: time.Hour})
	r := c.run(2*mostAwake, topics, func() {})
	prove.Report(t, prove.Result{Row: 10, Control: true, Figures: r.figures(topics, c.most)})
	require.Greater(t, float64(r.idle.heap), 1.5*float64(r.base.heap))
}

// TestFault10NamesOfActorsFillFewTables: see actorNames.
func TestFault10NamesOfActorsFillFewTables(t *testing.T) {
	registry := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })).ProcessRegistry
	var names actorNames
	seen, tables := map[string]bool{}, map[any]bool{}
	for range 2000 {
		name := names.next(registry, &actor.PID{Id: "router"})
		require.False(t, seen[name])
		seen[name] = true
		tables[registry.LocalPIDs.GetBucket("router/" + name)[0]] = true
	}
	require.LessOrEqual(t, len(tables), usedBuckets)
}
