package actors

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/persistence/sqlite"
)

// gateStore lets a test watch, hold or fail the commits of a real store.
type gateStore struct {
	sekali.Store
	appending func(b sekali.Batch) error // before the real commit; nil: pass
	batches   atomic.Int64
}

func (s *gateStore) AppendBatch(ctx context.Context, b sekali.Batch) (sekali.Appended, error) {
	s.batches.Add(1)
	if s.appending != nil {
		if err := s.appending(b); err != nil {
			return sekali.Appended{}, err
		}
	}
	return s.Store.AppendBatch(ctx, b)
}

func startSystem(t *testing.T, o Options, appending func(sekali.Batch) error) (*System, *gateStore) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	require.NoError(t, err)
	store := &gateStore{Store: db, appending: appending}
	s, err := New(t.Context(), store, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, s.Close(ctx))
		require.NoError(t, db.Close())
	})
	return s, store
}

// gate blocks commits until it is opened and tells when one has arrived.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{arrived: make(chan struct{}, 1000), open: make(chan struct{})} }

func (g *gate) pass(sekali.Batch) error {
	g.arrived <- struct{}{}
	<-g.open
	return nil
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func eventOf(topic, id string) sekali.Event {
	e := event(id, 1)
	e.Topic, e.Time = topic, time.Unix(0, 0)
	return e
}

type answer struct {
	results []sekali.Result
	err     error
}

// ingestAsync starts an Ingest and returns where its answer will come.
func ingestAsync(ctx context.Context, s *System, events ...sekali.Event) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		results, err := s.Ingest(ctx, events)
		c <- answer{results, err}
	}()
	return c
}

func TestSystemAnswersOnlyAfterTheCommit(t *testing.T) {
	g := newGate()
	s, _ := startSystem(t, Options{}, g.pass)
	defer g.release()
	reply := ingestAsync(t.Context(), s, eventOf("t", "a"))
	<-g.arrived
	select {
	case a := <-reply:
		require.Fail(t, "answered before the commit", "%v", a)
	default:
	}
	g.release()
	a := <-reply
	require.NoError(t, a.err)
	require.Equal(t, []sekali.Result{{Outcome: sekali.OutcomeStored, Seq: 1}}, a.results)
}

func TestSystemMergesAllTopicsIntoOneCommit(t *testing.T) {
	g := newGate()
	s, store := startSystem(t, Options{}, g.pass)
	defer g.release()
	replies := []<-chan answer{ingestAsync(t.Context(), s, eventOf("first", "a"))}
	<-g.arrived
	const topics = 50
	for i := range topics {
		replies = append(replies, ingestAsync(t.Context(), s, eventOf(fmt.Sprint("t", i), "a")))
	}
	require.Eventually(t, func() bool {
		s.committer.mu.Lock()
		defer s.committer.mu.Unlock()
		return len(s.committer.queue) == topics
	}, 10*time.Second, time.Millisecond)
	g.release()
	for _, r := range replies {
		require.NoError(t, (<-r).err)
	}
	require.EqualValues(t, 2, store.batches.Load(), "one for the first topic, one for all the others")
}

func TestSystemResultsKeepTheOrderOfTheRequestOverTopics(t *testing.T) {
	s, _ := startSystem(t, Options{}, nil)
	_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("b", "1")})
	require.NoError(t, err)
	results, err := s.Ingest(t.Context(), []sekali.Event{
		eventOf("a", "1"), eventOf("b", "1"), eventOf("a", "1"), eventOf("c", "1"), eventOf("b", "2"),
	})
	require.NoError(t, err)
	outcomes := make([]sekali.Outcome, len(results))
	for i, r := range results {
		outcomes[i] = r.Outcome
	}
	require.Equal(t, []sekali.Outcome{
		sekali.OutcomeStored, sekali.OutcomeDuplicate, sekali.OutcomeDuplicate, sekali.OutcomeStored, sekali.OutcomeStored,
	}, outcomes)
	require.EqualValues(t, 1, results[1].Seq)
}

// TestSystemCountsExactlyUnderConcurrencyAndPassivation repeats ids from many
// goroutines while topics are passivated all the time.
func TestSystemCountsExactlyUnderConcurrencyAndPassivation(t *testing.T) {
	s, store := startSystem(t, Options{TopicIdleTimeout: 4 * time.Millisecond, SeenCacheEntries: 50}, nil)
	const workers, requests, topics, ids = 16, 150, 20, 40
	var stored, duplicates atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for range requests {
				events := make([]sekali.Event, 1+rnd.IntN(8))
				for i := range events {
					events[i] = eventOf(fmt.Sprint("t", rnd.IntN(topics)), fmt.Sprint(rnd.IntN(ids)))
				}
				results, err := s.Ingest(context.Background(), events)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range results {
					if r.Outcome == sekali.OutcomeStored {
						stored.Add(1)
					} else {
						duplicates.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, stored.Load(), stats.Unique)
	require.Equal(t, duplicates.Load(), stats.Duplicates)
	require.EqualValues(t, topics, stats.TopicsTotal)
	page, err := store.Events(t.Context(), sekali.EventsQuery{Limit: 10_000})
	require.NoError(t, err)
	require.Len(t, page.Events, int(stored.Load()))
	_, err = s.Topics(t.Context(), sekali.TopicsQuery{Limit: 1}) // settles
	require.NoError(t, err)
	totals, err := store.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, duplicates.Load(), totals.Duplicates, "every duplicate has been written")
	require.Eventually(t, func() bool {
		_, active := s.admission.inUse()
		return active == 0
	}, 10*time.Second, time.Millisecond, "idle topics are passivated")
	require.Zero(t, s.deadLetters.Load())
}

func TestSystemStatsCountEveryAnswerAtOnce(t *testing.T) {
	s, _ := startSystem(t, Options{}, nil)
	for i := range 200 {
		_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", fmt.Sprint(i/2)), eventOf("u", fmt.Sprint(i))})
		require.NoError(t, err)
		stats, err := s.Stats(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2*(i+1), stats.Received())
	}
}

func TestSystemTopicCountsAndEventsAreSettledBeforeTheyAreRead(t *testing.T) {
	s, _ := startSystem(t, Options{}, nil)
	for i := range 5 {
		_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
		require.NoError(t, err)
		topics, err := s.Topics(t.Context(), sekali.TopicsQuery{Limit: 1})
		require.NoError(t, err)
		require.EqualValues(t, i, topics[0].Duplicates)
		detail, err := s.Event(t.Context(), "t", "a")
		require.NoError(t, err)
		require.EqualValues(t, i, detail.DuplicateCount)
	}
}

func TestSystemEndsTheWaitWithTheContextAndStoresAllTheSame(t *testing.T) {
	g := newGate()
	s, store := startSystem(t, Options{}, g.pass)
	defer g.release()
	ctx, cancel := context.WithCancel(t.Context())
	reply := ingestAsync(ctx, s, eventOf("t", "a"))
	<-g.arrived
	cancel()
	require.Equal(t, sekali.CodeTimeout, sekali.CodeOf((<-reply).err))
	g.release()
	require.NoError(t, s.Drain(t.Context()))
	_, err := store.Event(t.Context(), "t", "a")
	require.NoError(t, err)
}

func TestDuplicatesAreWrittenByThemselves(t *testing.T) {
	s, store := startSystem(t, Options{}, nil)
	for range 3 {
		_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		totals, err := store.Totals(t.Context())
		return err == nil && totals.Duplicates == 2
	}, 10*time.Second, 5*time.Millisecond)
}
