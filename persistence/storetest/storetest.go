// Package storetest is the conformance suite of sekali.Store: every sentence of
// its contract has a test here, and every implementation must pass them all.
//
// The tests know nothing but the interface. Times, ids and contents are fixed,
// except for the model test, which prints its seed and takes it again from the
// environment variable STORETEST_SEED. Tests run one after the other, each on
// an empty store of its own.
package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

// Run tests the stores that open returns. open is called with a directory that
// belongs to one store: an empty one at first, the same one again after Close
// to reopen the store. A store that keeps its data elsewhere may use the name
// as a key. A store that searches its events in steps should make them as small
// as 200 seqs for the suite. The suite closes every store that it opens.
func Run(t *testing.T, open func(t testing.TB, dir string) sekali.Store) {
	for _, tests := range [][]test{
		decisionTests, countTests, topicTests, eventTests, pageTests, valueTests, lifeTests, concurrencyTests, modelTests,
	} {
		for _, tc := range tests {
			t.Run(tc.name, func(t *testing.T) { tc.run(newFixture(t, open)) })
		}
	}
}

// test is one promise of the contract.
type test struct {
	name string
	run  func(f *fixture)
}

// fixture is a store under test, which is reopened from dir.
type fixture struct {
	*testing.T
	sekali.Store

	open func(t testing.TB, dir string) sekali.Store
	dir  string
	now  time.Time // At of the next batch; each batch is a second later
}

func newFixture(t *testing.T, open func(t testing.TB, dir string) sekali.Store) *fixture {
	t.Helper()
	f := &fixture{T: t, open: open, dir: t.TempDir(), now: at(0)}
	f.Store = open(t, f.dir)
	t.Cleanup(func() {
		if f.Store != nil {
			require.NoError(t, f.Close())
		}
	})
	return f
}

// reopen closes the store and opens it again.
func (f *fixture) reopen() {
	f.Helper()
	f.shut()
	f.Store = f.open(f.T, f.dir)
}

func (f *fixture) shut() {
	f.Helper()
	require.NoError(f, f.Close())
	f.Store = nil
}

// append stores the events in one batch.
func (f *fixture) append(events ...sekali.Event) sekali.Appended {
	f.Helper()
	return f.appendBatch(sekali.Batch{Events: events})
}

// appendBatch stores b at the fixture's time.
func (f *fixture) appendBatch(b sekali.Batch) sekali.Appended {
	f.Helper()
	b.At = f.now
	f.now = f.now.Add(time.Second)
	appended, err := f.AppendBatch(f.Context(), b)
	require.NoError(f, err)
	require.Len(f, appended.Decisions, len(b.Events), "one decision per event")
	return appended
}

func (f *fixture) totals() sekali.Totals {
	f.Helper()
	totals, err := f.Totals(f.Context())
	require.NoError(f, err)
	return totals
}

func (f *fixture) topic(name string) sekali.TopicStats {
	f.Helper()
	stats, err := f.Topic(f.Context(), name)
	require.NoError(f, err)
	return stats
}

func (f *fixture) event(topic, id string) sekali.EventDetail {
	f.Helper()
	detail, err := f.Event(f.Context(), topic, id)
	require.NoError(f, err)
	return detail
}

func (f *fixture) page(q sekali.EventsQuery) sekali.EventsPage {
	f.Helper()
	page, err := f.Events(f.Context(), q)
	require.NoError(f, err)
	require.LessOrEqual(f, len(page.Events), q.Limit)
	return page
}

// read follows q to its end and returns all events.
func (f *fixture) read(q sekali.EventsQuery) []sekali.StoredEvent {
	f.Helper()
	var events []sekali.StoredEvent
	for range 100_000 {
		page := f.page(q)
		events = append(events, page.Events...)
		if page.Next == 0 {
			return events
		}
		require.NotEqual(f, q.After, page.Next, "a page must get on")
		q.After = page.Next
	}
	require.FailNow(f, "the pages do not end")
	return nil
}

// ids returns topic/id of each event, in order.
func ids(events []sekali.StoredEvent) []string {
	names := make([]string, 0, len(events))
	for i := range events {
		names = append(names, events[i].Topic+"/"+events[i].ID)
	}
	return names
}

func seqs(events []sekali.StoredEvent) []int64 {
	list := make([]int64, 0, len(events))
	for i := range events {
		list = append(list, events[i].Seq)
	}
	return list
}

func reversed[T any](list []T) []T {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// at returns a fixed time plus some seconds.
func at(seconds int) time.Time {
	return time.Date(2025, 10, 24, 10, 30, 0, 123_456_789, time.UTC).Add(time.Duration(seconds) * time.Second)
}

// event returns an event of the source "source" with the payload {}.
func event(topic, id string) sekali.Event {
	return eventAt(topic, id, at(0))
}

func eventAt(topic, id string, when time.Time) sekali.Event {
	return sekali.Event{
		Topic: topic, ID: id, Source: "source",
		Timestamp: when.Format(time.RFC3339Nano), Time: when, Payload: []byte(`{}`),
	}
}

// uncanceled is a context for goroutines that outlive the test's body.
func uncanceled(f *fixture) context.Context { return context.WithoutCancel(f.Context()) }
