package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

var eventTests = []test{
	{"an event comes back with every value as it was handed in", eventComesBack},
	{"an unknown event is not found", unknownEvent},
	{"an empty store has no events", noEvents},
	{"without a filter all events come in order of seq", allEvents},
	{"the topic filter takes that topic's events", filterTopic},
	{"the id filter takes that id's events of every topic", filterID},
	{"the source filter takes that source's events", filterSource},
	{"since and until are inclusive and look at the event time", filterTime},
	{"several filters must all match", filterAll},
	{"a filter that matches nothing gives an empty end", filterNothing},
}

func eventComesBack(f *fixture) {
	e := sekali.Event{
		Topic: "order.created", ID: "order-001", Source: "order-service",
		Timestamp: "2025-10-24t17:30:00.5+07:00", Time: time.Date(2025, 10, 24, 10, 30, 0, 500_000_000, time.UTC),
		Payload: []byte(`{ "amount" : 9007199254740993, "amount": 1.0, "s":"\u0000\ud83d\ude00" }`),
	}
	processed := f.now
	seq := f.append(e).Decisions[0].Seq
	want := sekali.StoredEvent{Event: e, Seq: seq, ProcessedAt: processed}
	require.Equal(f, want, f.event(e.Topic, e.ID).StoredEvent)
	require.Equal(f, []sekali.StoredEvent{want}, f.read(sekali.EventsQuery{Limit: 10}))
	f.reopen()
	require.Equal(f, sekali.EventDetail{StoredEvent: want}, f.event(e.Topic, e.ID))
	require.Equal(f, []sekali.StoredEvent{want}, f.read(sekali.EventsQuery{Limit: 10}))
}

func unknownEvent(f *fixture) {
	f.append(event("a", "1"), event("b", "2"))
	for _, identity := range [][2]string{{"a", "2"}, {"b", "1"}, {"c", "1"}, {"a", "01"}, {"A", "1"}, {"a", "1 "}, {"a", ""}, {"", ""}} {
		_, err := f.Event(f.Context(), identity[0], identity[1])
		require.Equal(f, sekali.CodeNotFound, sekali.CodeOf(err), "%q: %v", identity, err)
	}
}

func noEvents(f *fixture) {
	for _, q := range []sekali.EventsQuery{
		{Limit: 1},
		{Limit: 1, Descending: true},
		{Limit: 1, After: 7},
		{Limit: 1, After: 7, Descending: true},
		{Limit: 1, UpTo: 7},
		{Limit: 1, Topic: "a"},
		{Limit: 1, EventID: "a"},
	} {
		page := f.page(q)
		require.Empty(f, page.Events)
		require.Zero(f, page.Next)
		require.Zero(f, page.LastSeq)
	}
}

// mixed stores twelve events: topics a and b in turn, three ids, two sources,
// event times that descend while the seqs ascend.
func mixed(f *fixture) {
	f.Helper()
	for i := range 12 {
		e := eventAt([]string{"a", "b"}[i%2], []string{"x", "y", "z", "x'", "y%", "Z"}[i/2], at(-i))
		e.Source = []string{"s1", "s2", "s1"}[i%3]
		f.append(e)
	}
}

// want returns the mixed events that match, in order.
func (f *fixture) want(match func(e *sekali.StoredEvent) bool) []string {
	f.Helper()
	var names []string
	for _, e := range f.read(sekali.EventsQuery{Limit: 1000}) {
		if match(&e) {
			names = append(names, e.Topic+"/"+e.ID)
		}
	}
	require.NotEmpty(f, names)
	return names
}

// requireFilter reads q forwards and backwards, in pages of every size.
func (f *fixture) requireFilter(q sekali.EventsQuery, match func(e *sekali.StoredEvent) bool) {
	f.Helper()
	want := f.want(match)
	for q.Limit = 1; q.Limit <= 13; q.Limit++ {
		q.Descending = false
		require.Equal(f, want, ids(f.read(q)))
		q.Descending = true
		require.Equal(f, reversed(want), ids(f.read(q)))
	}
}

func allEvents(f *fixture) {
	mixed(f)
	list := f.read(sekali.EventsQuery{Limit: 5})
	require.Len(f, list, 12)
	require.IsIncreasing(f, seqs(list))
	require.Equal(f, []string{"a/x", "b/x", "a/y"}, ids(list[:3]))
	f.requireFilter(sekali.EventsQuery{}, func(*sekali.StoredEvent) bool { return true })
}

func filterTopic(f *fixture) {
	mixed(f)
	f.requireFilter(sekali.EventsQuery{Topic: "b"}, func(e *sekali.StoredEvent) bool { return e.Topic == "b" })
}

func filterID(f *fixture) {
	mixed(f)
	for _, id := range []string{"x", "x'", "y%", "z", "Z"} {
		f.requireFilter(sekali.EventsQuery{EventID: id}, func(e *sekali.StoredEvent) bool { return e.ID == id })
	}
}

func filterSource(f *fixture) {
	mixed(f)
	f.requireFilter(sekali.EventsQuery{Source: "s2"}, func(e *sekali.StoredEvent) bool { return e.Source == "s2" })
}

func filterTime(f *fixture) {
	mixed(f)
	since, until := at(-7), at(-3)
	f.requireFilter(sekali.EventsQuery{Since: since}, func(e *sekali.StoredEvent) bool { return !e.Time.Before(since) })
	f.requireFilter(sekali.EventsQuery{Until: until}, func(e *sekali.StoredEvent) bool { return !e.Time.After(until) })
	f.requireFilter(sekali.EventsQuery{Since: since, Until: until}, func(e *sekali.StoredEvent) bool {
		return !e.Time.Before(since) && !e.Time.After(until)
	})
	require.Len(f, f.read(sekali.EventsQuery{Since: since, Until: since, Limit: 9}), 1)
	require.Empty(f, f.read(sekali.EventsQuery{Since: since.Add(1), Until: since.Add(1), Limit: 9}), "a nanosecond off")
	require.Len(f, f.read(sekali.EventsQuery{Since: since.In(time.FixedZone("", 7*3600)), Limit: 9}), 8, "the zone does not matter")
}

func filterAll(f *fixture) {
	mixed(f)
	f.requireFilter(sekali.EventsQuery{Topic: "a", Source: "s1", Until: at(-2)}, func(e *sekali.StoredEvent) bool {
		return e.Topic == "a" && e.Source == "s1" && !e.Time.After(at(-2))
	})
	f.requireFilter(sekali.EventsQuery{Topic: "b", EventID: "z"}, func(e *sekali.StoredEvent) bool {
		return e.Topic == "b" && e.ID == "z"
	})
}

func filterNothing(f *fixture) {
	mixed(f)
	last := f.page(sekali.EventsQuery{Limit: 1}).LastSeq
	for _, q := range []sekali.EventsQuery{
		{Topic: "c"},
		{Topic: "A"},
		{EventID: "x%"},
		{EventID: "X"},
		{Source: "S1"},
		{Source: "_1"},
		{Since: at(1)},
		{Until: at(-12)},
		{Since: at(-1), Until: at(-2)},
		{Topic: "a", EventID: "nothing"},
	} {
		q.Limit = 10
		for _, q.Descending = range []bool{false, true} {
			page := f.page(q)
			require.Empty(f, page.Events, "%+v", q)
			require.Zero(f, page.Next, "%+v", q)
			require.Equal(f, last, page.LastSeq, "%+v", q)
		}
	}
}
