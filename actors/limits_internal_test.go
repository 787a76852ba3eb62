package actors

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
)

func TestSystemRefusesWhatIsOverItsLimitsAndTakesNothingOfIt(t *testing.T) {
	batch := func(topic string, n int) []sekali.Event {
		var events []sekali.Event
		for i := range n {
			events = append(events, eventOf(topic, fmt.Sprint(topic, i)))
		}
		return events
	}
	cases := []struct {
		name    string
		options Options
		second  []sekali.Event
		code    sekali.Code
	}{
		{"events of the node", Options{MaxInFlightEvents: 10, MaxTopicInFlightEvents: 10}, batch("b", 3), sekali.CodeOverloaded},
		{"bytes of the node", Options{MaxInFlightBytes: 3000}, batch("b", 4), sekali.CodeOverloaded},
		{"events of the topic", Options{MaxTopicInFlightEvents: 10}, batch("a", 3), sekali.CodeTopicOverloaded},
		{"bytes of the topic", Options{MaxTopicInFlightBytes: 3000}, batch("a", 4), sekali.CodeTopicOverloaded},
		{"bytes of one topic of several", Options{MaxTopicInFlightBytes: 3000}, append(batch("b", 1), batch("a", 4)...), sekali.CodeTopicOverloaded},
		{"one topic of several", Options{MaxTopicInFlightEvents: 10}, append(batch("b", 1), batch("a", 3)...), sekali.CodeTopicOverloaded},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newGate()
			s, store := startSystem(t, c.options, g.pass)
			defer g.release()
			first := ingestAsync(t.Context(), s, batch("a", 8)...)
			<-g.arrived
			_, err := s.Ingest(t.Context(), c.second)
			require.Equal(t, c.code, sekali.CodeOf(err))
			var known *sekali.Error
			require.ErrorAs(t, err, &known)
			require.Positive(t, known.RetryAfter)
			g.release()
			require.NoError(t, (<-first).err)
			page, err := store.Events(t.Context(), sekali.EventsQuery{Limit: 100})
			require.NoError(t, err)
			require.Len(t, page.Events, 8, "nothing of the refused request is stored")
			s.admission.mu.Lock()
			require.Zero(t, s.admission.topics["a"].bytes, "all is given back")
			s.admission.mu.Unlock()
			_, err = s.Ingest(t.Context(), c.second)
			require.NoError(t, err, "there is room again")
		})
	}
}

func TestAFullSystemSaysSoUntilThereIsRoom(t *testing.T) {
	g := newGate()
	s, _ := startSystem(t, Options{MaxInFlightEvents: 32}, g.pass) // 30 are nearly all
	defer g.release()
	ids := 0
	events := func(n int) (batch []sekali.Event) {
		for range n {
			ids++
			batch = append(batch, eventOf("t", fmt.Sprint(ids)))
		}
		return batch
	}
	_, err := s.Ingest(t.Context(), events(33))
	require.Equal(t, sekali.CodeOverloaded, sekali.CodeOf(err))
	require.NoError(t, s.Admits(), "one request that is too large says nothing of the others")

	first := ingestAsync(t.Context(), s, events(30)...)
	<-g.arrived
	require.NoError(t, s.Admits(), "there is room for two")
	_, err = s.Ingest(t.Context(), events(3))
	require.Equal(t, sekali.CodeOverloaded, sekali.CodeOf(err))
	require.Equal(t, err, s.Admits())

	g.release()
	require.NoError(t, (<-first).err)
	require.NoError(t, s.Admits())
	require.NoError(t, s.Drain(t.Context()))
	require.ErrorIs(t, s.Admits(), sekali.ErrShuttingDown)
}

func TestActiveTopicsAreBoundedHoweverManyThereAre(t *testing.T) {
	const limit = 50
	s, _ := startSystem(t, Options{MaxActiveTopics: limit}, nil)
	for i := range 20 * limit {
		_, err := s.Ingest(t.Context(), []sekali.Event{eventOf(fmt.Sprint("t", i), "a")})
		require.NoError(t, err)
		_, active := s.admission.inUse()
		require.LessOrEqual(t, active, limit+2)
	}
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 20*limit, stats.TopicsTotal)
	results, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t0", "a")})
	require.NoError(t, err)
	require.Equal(t, sekali.OutcomeDuplicate, results[0].Outcome, "what memory has dropped the store still knows")
}
