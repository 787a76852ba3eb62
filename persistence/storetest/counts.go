package storetest

import (
	"github.com/stretchr/testify/require"

	"sekali"
)

var countTests = []test{
	{"an empty store has no counts", emptyCounts},
	{"each topic counts its unique events", uniqueCounts},
	{"tallies add duplicates and conflicts to the event and to its topic", tallies},
	{"tallies of one event add up within a batch and across batches", talliesAddUp},
	{"the last duplicate is the latest one in whatever order tallies come", lastDuplicate},
	{"a tally may come in the batch after its event or with other events", talliesWithEvents},
	{"totals are the sums over all topics", totalsAreSums},
	{"counts are the same after the store was reopened", countsSurvive},
}

func emptyCounts(f *fixture) {
	require.Equal(f, sekali.Totals{}, f.totals())
	f.reopen()
	require.Equal(f, sekali.Totals{}, f.totals())
}

func uniqueCounts(f *fixture) {
	first := f.now
	f.append(event("a", "1"), event("a", "2"), event("b", "1"))
	second := f.now
	f.append(event("a", "2"), event("a", "3"))
	require.Equal(f, sekali.TopicStats{Topic: "a", Unique: 3, FirstSeen: first, LastSeen: second}, f.topic("a"))
	require.Equal(f, sekali.TopicStats{Topic: "b", Unique: 1, FirstSeen: first, LastSeen: first}, f.topic("b"))
}

// tallied stores n events "1", "2"... of topic a and returns their seqs.
func tallied(f *fixture, n int) []int64 {
	f.Helper()
	var events []sekali.Event
	for i := range n {
		events = append(events, event("a", string(rune('1'+i))))
	}
	var list []int64
	for _, d := range f.append(events...).Decisions {
		list = append(list, d.Seq)
	}
	return list
}

func tallies(f *fixture) {
	start := f.now
	seq := tallied(f, 2)
	f.appendBatch(sekali.Batch{Duplicates: []sekali.DuplicateTally{
		{Topic: "a", Seq: seq[0], Count: 5, Conflicts: 2, LastAt: at(100)},
	}})
	require.Equal(f, sekali.TopicStats{Topic: "a", Unique: 2, Duplicates: 5, Conflicts: 2, FirstSeen: start, LastSeen: at(100)}, f.topic("a"))

	got := f.event("a", "1")
	require.EqualValues(f, 5, got.DuplicateCount)
	require.EqualValues(f, 2, got.ConflictCount)
	require.Equal(f, at(100), got.LastDuplicate)

	got = f.event("a", "2")
	require.Zero(f, got.DuplicateCount)
	require.Zero(f, got.ConflictCount)
	require.True(f, got.LastDuplicate.IsZero(), "there was none")
}

func talliesAddUp(f *fixture) {
	seq := tallied(f, 2)
	for range 2 {
		f.appendBatch(sekali.Batch{Duplicates: []sekali.DuplicateTally{
			{Topic: "a", Seq: seq[0], Count: 1, LastAt: at(100)},
			{Topic: "a", Seq: seq[1], Count: 10, Conflicts: 10, LastAt: at(100)},
			{Topic: "a", Seq: seq[0], Count: 2, Conflicts: 1, LastAt: at(101)},
		}})
	}
	got := f.event("a", "1")
	require.EqualValues(f, 6, got.DuplicateCount)
	require.EqualValues(f, 2, got.ConflictCount)
	got = f.event("a", "2")
	require.EqualValues(f, 20, got.DuplicateCount)
	require.EqualValues(f, 20, got.ConflictCount)
	require.EqualValues(f, 26, f.topic("a").Duplicates)
	require.EqualValues(f, 22, f.topic("a").Conflicts)
}

func lastDuplicate(f *fixture) {
	seq := tallied(f, 1)
	for _, second := range []int{100, 300, 200} {
		f.appendBatch(sekali.Batch{Duplicates: []sekali.DuplicateTally{{Topic: "a", Seq: seq[0], Count: 1, LastAt: at(second)}}})
	}
	require.Equal(f, at(300), f.event("a", "1").LastDuplicate)
	require.Equal(f, at(300), f.topic("a").LastSeen)
}

func talliesWithEvents(f *fixture) {
	seq := tallied(f, 1)
	got := f.appendBatch(sekali.Batch{
		Events:     []sekali.Event{event("a", "2"), event("b", "1"), event("a", "1")},
		Duplicates: []sekali.DuplicateTally{{Topic: "a", Seq: seq[0], Count: 3, LastAt: at(1)}},
	})
	require.Equal(f, []bool{true, true, false}, []bool{got.Decisions[0].Stored, got.Decisions[1].Stored, got.Decisions[2].Stored})
	require.EqualValues(f, 2, f.topic("a").Unique)
	require.EqualValues(f, 3, f.topic("a").Duplicates)
	require.EqualValues(f, 1, f.topic("b").Unique)
}

func totalsAreSums(f *fixture) {
	seq := tallied(f, 3)
	other := f.append(event("b", "1"), event("c", "1")).Decisions
	f.appendBatch(sekali.Batch{Duplicates: []sekali.DuplicateTally{
		{Topic: "a", Seq: seq[2], Count: 4, Conflicts: 1, LastAt: at(9)},
		{Topic: "b", Seq: other[0].Seq, Count: 8, Conflicts: 8, LastAt: at(9)},
	}})
	require.Equal(f, sekali.Totals{Unique: 5, Duplicates: 12, Conflicts: 9, Topics: 3}, f.totals())
}

func countsSurvive(f *fixture) {
	totalsAreSums(f)
	totals, topic, detail := f.totals(), f.topic("a"), f.event("a", "3")
	f.reopen()
	require.Equal(f, totals, f.totals())
	require.Equal(f, topic, f.topic("a"))
	require.Equal(f, detail, f.event("a", "3"))
}
