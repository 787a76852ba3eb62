package storetest

import (
	"strconv"

	"github.com/stretchr/testify/require"

	"sekali"
)

var pageTests = []test{
	{"after continues behind a seq in the direction of the order", afterSeq},
	{"up to leaves out the events with a greater seq", upTo},
	{"a page that is not the last has a next, the last has none", nextOrEnd},
	{"last seq is the newest one, whatever the query selects", lastSeq},
	{"a reader of everything ends although events keep coming", readerEnds},
	{"a page sees what was committed before it was asked for", noOldSnapshot},
	{"sparse filters over many events find the same in every page size", sparseFilters},
}

func afterSeq(f *fixture) {
	mixed(f)
	list := f.read(sekali.EventsQuery{Limit: 100})
	all, newest := seqs(list), list[len(list)-1].Seq
	for i, seq := range all {
		require.Equal(f, all[i+1:], seqs(f.read(sekali.EventsQuery{After: seq, Limit: 5})))
		require.Equal(f, reversed(all[:i]), seqs(f.read(sekali.EventsQuery{After: seq, Descending: true, Limit: 5})))
	}
	require.Empty(f, f.read(sekali.EventsQuery{After: newest + 1000, Limit: 5}))
	require.Equal(f, reversed(all), seqs(f.read(sekali.EventsQuery{After: newest + 1000, Descending: true, Limit: 5})))
}

func upTo(f *fixture) {
	mixed(f)
	all := seqs(f.read(sekali.EventsQuery{Limit: 100}))
	for i, seq := range all {
		require.Equal(f, all[:i+1], seqs(f.read(sekali.EventsQuery{UpTo: seq, Limit: 5})))
		require.Equal(f, reversed(all[:i+1]), seqs(f.read(sekali.EventsQuery{UpTo: seq, Descending: true, Limit: 5})))
	}
	require.Equal(f, all[3:7], seqs(f.read(sekali.EventsQuery{After: all[2], UpTo: all[6], Limit: 2})))
	require.Equal(f, reversed(all[:6]), seqs(f.read(sekali.EventsQuery{After: all[6], UpTo: all[8], Descending: true, Limit: 2})))
	require.Empty(f, f.read(sekali.EventsQuery{After: all[6], UpTo: all[4], Limit: 2}))
	require.Equal(f, all, seqs(f.read(sekali.EventsQuery{UpTo: all[11] + 1000, Limit: 5})))
}

func nextOrEnd(f *fixture) {
	mixed(f)
	for _, descending := range []bool{false, true} {
		page := f.page(sekali.EventsQuery{Limit: 11, Descending: descending})
		require.NotZero(f, page.Next)
		page = f.page(sekali.EventsQuery{Limit: 11, Descending: descending, After: page.Next})
		require.LessOrEqual(f, len(page.Events), 1)
		page = f.page(sekali.EventsQuery{Limit: 13, Descending: descending})
		if len(page.Events) == 12 {
			require.Zero(f, page.Next, "a page with room that reached the end has no next")
		}
	}
}

func lastSeq(f *fixture) {
	mixed(f)
	newest := f.append(event("c", "last")).Decisions[0].Seq
	for _, q := range []sekali.EventsQuery{
		{Limit: 1},
		{Limit: 100},
		{Limit: 1, Descending: true},
		{Limit: 9, Topic: "a"},
		{Limit: 9, Topic: "none"},
		{Limit: 9, UpTo: 2},
		{Limit: 9, After: newest},
		{Limit: 9, Since: at(1000)},
	} {
		require.Equal(f, newest, f.page(q).LastSeq, "%+v", q)
	}
	f.append(event("c", "last")) // a duplicate has no seq of its own
	require.Equal(f, newest, f.page(sekali.EventsQuery{Limit: 1}).LastSeq)
}

func readerEnds(f *fixture) {
	mixed(f)
	want := seqs(f.read(sekali.EventsQuery{Limit: 100}))
	page := f.page(sekali.EventsQuery{Limit: 2})
	got, end := seqs(page.Events), page.LastSeq
	for i := 0; page.Next != 0; i++ {
		require.Less(f, i, 100, "the reader must end")
		f.append(event("new", strconv.Itoa(i)), event("a", "new"+strconv.Itoa(i)))
		page = f.page(sekali.EventsQuery{After: page.Next, UpTo: end, Limit: 2})
		got = append(got, seqs(page.Events)...)
	}
	require.Equal(f, want, got)
}

func noOldSnapshot(f *fixture) {
	for i := range 50 {
		seq := f.append(event("a", strconv.Itoa(i))).Decisions[0].Seq
		page := f.page(sekali.EventsQuery{Limit: 1, Descending: true})
		require.Equal(f, []int64{seq}, seqs(page.Events))
		require.Equal(f, seq, page.LastSeq)
		require.Equal(f, seq, f.event("a", strconv.Itoa(i)).Seq)
		require.EqualValues(f, i+1, f.topic("a").Unique)
		require.EqualValues(f, i+1, f.totals().Unique)
	}
}

// sparse are the positions of the rare events among the many of sparseFilters:
// at both ends, next to each other, and far apart, so that a store that
// searches in steps of some hundreds has steps without a match.
var sparse = map[int]bool{0: true, 1: true, 199: true, 200: true, 201: true, 2_000: true, 3_999: true, 5_999: true}

func sparseFilters(f *fixture) {
	const total, perBatch = 6_000, 1_000
	var want []int64
	for first := 0; first < total; first += perBatch {
		var events []sekali.Event
		for i := first; i < first+perBatch; i++ {
			e := event("many", strconv.Itoa(i))
			if sparse[i] {
				e.Topic, e.Source, e.Time = "rare", "rare source", at(1000)
			}
			events = append(events, e)
		}
		for i, d := range f.append(events...).Decisions {
			if sparse[first+i] {
				want = append(want, d.Seq)
			}
		}
	}
	for _, q := range []sekali.EventsQuery{{Topic: "rare"}, {Source: "rare source"}, {Since: at(1000)}} {
		for _, q.Limit = range []int{1, 3, len(want), 1000} {
			q.Descending = false
			require.Equal(f, want, seqs(f.read(q)), "%+v", q)
			q.Descending = true
			require.Equal(f, reversed(want), seqs(f.read(q)), "%+v", q)
		}
	}
	require.Equal(f, want[2:6], seqs(f.read(sekali.EventsQuery{Topic: "rare", After: want[1], UpTo: want[5], Limit: 2})))
	require.Equal(f, []string{"many/3000"}, ids(f.read(sekali.EventsQuery{EventID: "3000", Limit: 10})))
}
