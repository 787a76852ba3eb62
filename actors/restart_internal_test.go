package actors

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

// TestTopicRestartsAndAnswersItsWaiters makes a topic's actor panic while
// requests wait at it and others are in its mailbox.
func TestTopicRestartsAndAnswersItsWaiters(t *testing.T) {
	g := newGate()
	s, store := startSystem(t, Options{}, g.pass)
	defer g.release()
	waiting := []<-chan answer{ingestAsync(t.Context(), s, eventOf("t", "a"))}
	<-g.arrived
	for i := range 20 {
		waiting = append(waiting, ingestAsync(t.Context(), s, eventOf("t", fmt.Sprint(i))))
	}
	require.Eventually(t, func() bool { events, _ := s.admission.inUse(); return events == 21 }, 10*time.Second, time.Millisecond)
	before := generations.Load()
	s.admission.mu.Lock()
	pid := s.admission.topics["t"].pid
	s.admission.mu.Unlock()
	s.actors.Root.Send(pid, &batchCommitted{generation: before}) // decides fewer events than it should
	require.Equal(t, sekali.CodeTopicRestarted, sekali.CodeOf((<-waiting[0]).err))
	require.Eventually(t, func() bool { return generations.Load() > before }, 10*time.Second, time.Millisecond)
	g.release()
	for _, w := range waiting[1:] { // at the old instance, or in the mailbox and then at the new one
		if a := <-w; a.err != nil {
			require.Equal(t, sekali.CodeTopicRestarted, sekali.CodeOf(a.err))
		}
	}
	results, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
	require.NoError(t, err, "the new instance works, and ignores the answer to the old one's batch")
	require.Equal(t, sekali.OutcomeDuplicate, results[0].Outcome, "the old one's batch had been committed")
	events, _ := s.admission.inUse()
	require.Zero(t, events)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	totals, err := store.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, totals.Unique, stats.Unique, "what nobody could be told of is counted all the same")
	require.Equal(t, totals.Topics, stats.TopicsTotal)
}

// TestRestartsHaveNoLimit holds the strategy against the library's default,
// which stops an actor silently at its eleventh failure in ten seconds.
func TestRestartsHaveNoLimit(t *testing.T) {
	s, _ := startSystem(t, Options{}, nil)
	for i := range 30 {
		_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", fmt.Sprint(i))})
		require.NoError(t, err)
		s.admission.mu.Lock()
		pid := s.admission.topics["t"].pid
		s.admission.mu.Unlock()
		before := generations.Load()
		s.actors.Root.Send(pid, (*ingestPart)(nil))
		require.Eventually(t, func() bool { return generations.Load() > before }, 10*time.Second, 100*time.Microsecond)
	}
}
