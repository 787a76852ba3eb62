package storetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"sekali"
)

var decisionTests = []test{
	{"decisions come in the order of the events", decisionsInOrder},
	{"an id that repeats within a batch is stored once", repeatWithinBatch},
	{"an id that was stored by an earlier batch is a duplicate", repeatAcrossBatches},
	{"an id is unique within its topic only", sameIDOtherTopic},
	{"a duplicate carries the fingerprint of what is stored", duplicateFingerprint},
	{"a duplicate leaves the stored event as it was", duplicateChangesNothing},
	{"seqs ascend in commit order from 1 at least and are not used twice", seqsAscend},
	{"a batch names the topics that it created", newTopics},
	{"a batch without events and duplicates changes nothing", emptyBatch},
	{"an event carries the time of its batch", processedAt},
	{"a context that has ended before the start leaves nothing or everything", endedContext},
}

func decisionsInOrder(f *fixture) {
	f.append(event("a", "1"), event("b", "1"))
	got := f.append(event("b", "2"), event("b", "1"), event("c", "1"), event("a", "1"), event("a", "2"))
	var stored []bool
	for _, d := range got.Decisions {
		stored = append(stored, d.Stored)
	}
	require.Equal(f, []bool{true, false, true, false, true}, stored)
	require.Equal(f, f.event("b", "2").Seq, got.Decisions[0].Seq)
	require.Equal(f, f.event("b", "1").Seq, got.Decisions[1].Seq)
	require.Equal(f, f.event("c", "1").Seq, got.Decisions[2].Seq)
	require.Equal(f, f.event("a", "1").Seq, got.Decisions[3].Seq)
	require.Equal(f, f.event("a", "2").Seq, got.Decisions[4].Seq)
}

func repeatWithinBatch(f *fixture) {
	other := event("a", "1")
	other.Source = "someone else"
	got := f.append(event("a", "1"), other, event("a", "1")).Decisions
	require.True(f, got[0].Stored)
	for _, d := range got[1:] {
		first := event("a", "1")
		require.False(f, d.Stored)
		require.Equal(f, got[0].Seq, d.Seq)
		require.Equal(f, first.Fingerprint(), d.Fingerprint)
	}
	require.Equal(f, "source", f.event("a", "1").Source, "the first write wins")
	require.EqualValues(f, 1, f.totals().Unique)
}

func repeatAcrossBatches(f *fixture) {
	first := f.append(event("a", "1"), event("a", "2")).Decisions
	for _, again := range []func(){func() {}, f.reopen} {
		again()
		got := f.append(event("a", "2"), event("a", "1")).Decisions
		require.False(f, got[0].Stored)
		require.False(f, got[1].Stored)
		require.Equal(f, first[1].Seq, got[0].Seq)
		require.Equal(f, first[0].Seq, got[1].Seq)
	}
	require.EqualValues(f, 2, f.totals().Unique)
}

func sameIDOtherTopic(f *fixture) {
	got := f.append(event("a", "1"), event("b", "1"), event("A", "1")).Decisions
	for _, d := range got {
		require.True(f, d.Stored)
	}
	require.NotEqual(f, got[0].Seq, got[1].Seq)
	require.EqualValues(f, 3, f.totals().Unique)
}

func duplicateFingerprint(f *fixture) {
	stored := event("a", "1")
	stored.Payload = []byte(`{"amount": 9007199254740993}`)
	f.append(stored)
	f.reopen()

	other := event("a", "1")
	same := stored
	got := f.append(same, other).Decisions
	require.Equal(f, stored.Fingerprint(), got[0].Fingerprint)
	require.Equal(f, stored.Fingerprint(), got[1].Fingerprint)
	require.NotEqual(f, other.Fingerprint(), got[1].Fingerprint)
}

func duplicateChangesNothing(f *fixture) {
	f.append(event("a", "1"))
	before, topic := f.event("a", "1"), f.topic("a")
	other := eventAt("a", "1", at(500))
	other.Payload = []byte(`{"other":true}`)
	f.append(other)
	require.Equal(f, before, f.event("a", "1"))
	require.Equal(f, topic, f.topic("a"), "duplicates are counted by tallies, not by the attempt")
}

func seqsAscend(f *fixture) {
	last := int64(0)
	for round := range 3 {
		for batch := range 3 {
			id := string(rune('a'+round)) + string(rune('a'+batch))
			for _, d := range f.append(event("a", id+"1"), event("b", id+"2"), event("a", id+"3")).Decisions {
				require.Greater(f, d.Seq, last)
				last = d.Seq
			}
		}
		f.append(event("a", "aa1")) // a duplicate must not disturb the order
		f.reopen()
	}
}

func newTopics(f *fixture) {
	require.ElementsMatch(f, []string{"a", "b"}, f.append(event("b", "1"), event("a", "1"), event("b", "2")).NewTopics)
	require.ElementsMatch(f, []string{"c"}, f.append(event("b", "3"), event("c", "1"), event("a", "1")).NewTopics)
	f.reopen()
	require.Empty(f, f.append(event("a", "2"), event("c", "1")).NewTopics)
}

func emptyBatch(f *fixture) {
	f.append(event("a", "1"))
	before := f.topic("a")
	got := f.appendBatch(sekali.Batch{})
	require.Empty(f, got.Decisions)
	require.Empty(f, got.NewTopics)
	require.Equal(f, before, f.topic("a"))
	require.Equal(f, sekali.Totals{Unique: 1, Topics: 1}, f.totals())
}

func processedAt(f *fixture) {
	first := f.now
	f.append(event("a", "1"), event("b", "1"))
	second := f.now
	f.append(event("a", "2"))
	f.reopen()
	require.Equal(f, first, f.event("a", "1").ProcessedAt, "to the nanosecond, in UTC")
	require.Equal(f, first, f.event("b", "1").ProcessedAt)
	require.Equal(f, second, f.event("a", "2").ProcessedAt)
}

func endedContext(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	for i := range 20 {
		id := string(rune('a' + i))
		_, err := f.AppendBatch(ctx, sekali.Batch{Events: []sekali.Event{event("a", id), event("b", id)}, At: f.now})
		got := f.append(event("a", id), event("b", id)).Decisions
		if err != nil {
			require.Equal(f, sekali.CodeStorageBusy, sekali.CodeOf(err), "a later batch may succeed")
		}
		require.Equal(f, err != nil, got[0].Stored, "an error here means that the batch did not start")
		require.Equal(f, err != nil, got[1].Stored)
	}
}
