package storetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

var modelTests = []test{{"random batches, tallies, queries and restarts agree with a naive model", randomAgainstModel}}

// model is a store that is obviously right: one list, searched from the start.
type model struct {
	events []sekali.EventDetail // in order of seq
	topics map[string]*sekali.TopicStats
}

func (m *model) find(topic, id string) *sekali.EventDetail {
	for i := range m.events {
		if m.events[i].Topic == topic && m.events[i].ID == id {
			return &m.events[i]
		}
	}
	return nil
}

// add does what AppendBatch should have done for one event and checks d.
func (m *model) add(f *fixture, e sekali.Event, when time.Time, d sekali.Decision) {
	f.Helper()
	if first := m.find(e.Topic, e.ID); first != nil {
		require.Equal(f, sekali.Decision{Seq: first.Seq, Fingerprint: first.Fingerprint()}, d)
		return
	}
	require.True(f, d.Stored)
	if n := len(m.events); n > 0 {
		require.Greater(f, d.Seq, m.events[n-1].Seq)
	}
	m.events = append(m.events, sekali.EventDetail{StoredEvent: sekali.StoredEvent{Event: e, Seq: d.Seq, ProcessedAt: when}})
	t := m.topics[e.Topic]
	if t == nil {
		t = &sekali.TopicStats{Topic: e.Topic, FirstSeen: when}
		m.topics[e.Topic] = t
	}
	t.Unique++
	t.LastSeen = later(t.LastSeen, when)
}

func (m *model) count(d sekali.DuplicateTally) {
	i := slices.IndexFunc(m.events, func(e sekali.EventDetail) bool { return e.Seq == d.Seq })
	e, t := &m.events[i], m.topics[d.Topic]
	e.DuplicateCount += d.Count
	e.ConflictCount += d.Conflicts
	e.LastDuplicate = later(e.LastDuplicate, d.LastAt)
	t.Duplicates += d.Count
	t.Conflicts += d.Conflicts
	t.LastSeen = later(t.LastSeen, d.LastAt)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// selected returns what q selects, whatever its limit.
func (m *model) selected(q sekali.EventsQuery) []sekali.StoredEvent {
	var list []sekali.StoredEvent
	for _, e := range m.events {
		behind := q.After == 0 || (e.Seq > q.After) != q.Descending && e.Seq != q.After
		if behind && (q.UpTo == 0 || e.Seq <= q.UpTo) &&
			(q.Topic == "" || q.Topic == e.Topic) && (q.EventID == "" || q.EventID == e.ID) && (q.Source == "" || q.Source == e.Source) &&
			(q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || !e.Time.After(q.Until)) {
			list = append(list, e.StoredEvent)
		}
	}
	if q.Descending {
		slices.Reverse(list)
	}
	return list
}

func (m *model) totals() sekali.Totals {
	t := sekali.Totals{Topics: int64(len(m.topics))}
	for _, topic := range m.topics {
		t.Unique += topic.Unique
		t.Duplicates += topic.Duplicates
		t.Conflicts += topic.Conflicts
	}
	return t
}

func randomAgainstModel(f *fixture) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("STORETEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(f, err, "STORETEST_SEED")
	}
	f.Logf("STORETEST_SEED=%d", seed)
	r := random{rand.New(rand.NewPCG(seed, 1))}
	m := &model{topics: make(map[string]*sekali.TopicStats)}
	for range 150 {
		when := f.now
		b := r.batch(m)
		for i, d := range f.appendBatch(b).Decisions {
			m.add(f, b.Events[i], when, d)
		}
		for _, d := range b.Duplicates {
			m.count(d)
		}
		q := r.query(m)
		require.Equal(f, m.selected(q), f.read(q), "%+v", q)
		if r.IntN(15) == 0 {
			f.reopen()
			m.require(f)
		}
	}
	m.require(f)
}

// require compares the whole store with the model.
func (m *model) require(f *fixture) {
	f.Helper()
	require.Equal(f, m.totals(), f.totals())
	for _, e := range m.events {
		require.Equal(f, e, f.event(e.Topic, e.ID))
	}
	for _, t := range f.topics(sekali.TopicsQuery{Limit: 1000}) {
		require.Equal(f, *m.topics[t.Topic], t)
	}
}

// random draws batches and queries from few names, so that they meet often.
type random struct{ *rand.Rand }

func (r random) pick(names ...string) string { return names[r.IntN(len(names))] }

func (r random) topic() string { return r.pick("a", "b", "A", "'", "é", "e\u0301", "x") }

func (r random) source() string { return r.pick("s1", "s2", "%") }

func (r random) time() time.Time { return at(r.IntN(20)) }

func (r random) batch(m *model) sekali.Batch {
	var b sekali.Batch
	for range r.IntN(12) {
		e := eventAt(r.topic(), strconv.Itoa(r.IntN(60)), r.time())
		e.Source, e.Payload = r.source(), fmt.Appendf(nil, `{"n":%d}`, r.IntN(3))
		b.Events = append(b.Events, e)
	}
	for range min(r.IntN(4), len(m.events)) {
		e := m.events[r.IntN(len(m.events))]
		count := 1 + r.Int64N(5)
		b.Duplicates = append(b.Duplicates, sekali.DuplicateTally{
			Topic: e.Topic, Seq: e.Seq, Count: count, Conflicts: r.Int64N(count + 1), LastAt: at(r.IntN(1000)),
		})
	}
	return b
}

func (r random) query(m *model) sekali.EventsQuery {
	q := sekali.EventsQuery{Limit: 1 + r.IntN(len(m.events)/4+5), Descending: r.IntN(2) == 0}
	maybe := func(set func()) {
		if r.IntN(4) == 0 {
			set()
		}
	}
	maybe(func() { q.Topic = r.topic() })
	maybe(func() { q.EventID = strconv.Itoa(r.IntN(60)) })
	maybe(func() { q.Source = r.source() })
	maybe(func() { q.Since = r.time() })
	maybe(func() { q.Until = r.time() })
	maybe(func() { q.After = 1 + r.Int64N(int64(len(m.events))+5) })
	maybe(func() { q.UpTo = 1 + r.Int64N(int64(len(m.events))+5) })
	return q
}
