package httpserver_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARepeatedEventIsADuplicateWithTheSeqOfTheFirst(t *testing.T) {
	n := start(t, setup{})
	e := newEvent("user.created", "evt-001")

	first := n.publish(e)
	require.Equal(t, []result{{Outcome: "stored", Seq: 1}}, first.Results)
	for range 3 {
		again := n.publish(e)
		require.Zero(t, again.Stored)
		require.Equal(t, []result{{Outcome: "duplicate", Seq: 1}}, again.Results)
	}
	require.Len(t, n.events(""), 1)
	n.requireCounts(1, 3)
}

func TestTheSameIDInAnotherTopicIsAnotherEvent(t *testing.T) {
	n := start(t, setup{})
	require.Equal(t, 1, n.publish(newEvent("user.created", "evt-001")).Stored)
	require.Equal(t, 1, n.publish(newEvent("order.created", "evt-001")).Stored)
	require.Zero(t, n.publish(newEvent("user.created", "evt-001")).Stored)
	n.requireCounts(2, 1)
}

func TestARepeatWithinOneBatchIsADuplicate(t *testing.T) {
	n := start(t, setup{})
	p := n.publish(newEvents("a", "1", "2", "1", "1", "3"))
	require.Equal(t, 5, p.Accepted)
	require.Equal(t, 3, p.Stored)
	require.Equal(t, []result{
		{Outcome: "stored", Seq: 1},
		{Outcome: "stored", Seq: 2},
		{Outcome: "duplicate", Seq: 1},
		{Outcome: "duplicate", Seq: 1},
		{Outcome: "stored", Seq: 3},
	}, p.Results)
	require.Equal(t, []string{"1", "2", "3"}, ids(n.events("")))
	n.requireCounts(3, 2)
}

func TestABatchIsHeldAgainstTheRequestsBeforeIt(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvents("a", "1", "2", "3"))
	p := n.publish(newEvents("a", "3", "4", "1"))
	require.Equal(t, []result{{Outcome: "duplicate", Seq: 3}, {Outcome: "stored", Seq: 4}, {Outcome: "duplicate", Seq: 1}}, p.Results)
}

func TestABatchMayMixTopics(t *testing.T) {
	n := start(t, setup{})
	p := n.publish([]event{newEvent("a", "1"), newEvent("b", "1"), newEvent("a", "1"), newEvent("b", "2"), newEvent("b", "1")})
	var outcomes []string
	for _, r := range p.Results {
		outcomes = append(outcomes, r.Outcome)
	}
	require.Equal(t, []string{"stored", "stored", "duplicate", "stored", "duplicate"}, outcomes)
	require.Equal(t, p.Results[0].Seq, p.Results[2].Seq)
	require.Equal(t, p.Results[1].Seq, p.Results[4].Seq)
	n.requireCounts(3, 2)
}

func TestOneIDFromManySendersAtOnceIsStoredOnce(t *testing.T) {
	n := start(t, setup{})
	const senders, rounds = 32, 5
	body := encode(t, newEvent("race", "same"))
	answers := make(chan answer, senders*rounds)
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range rounds {
				if a, err := n.try("POST", "/publish", body); err == nil {
					answers <- a
				}
			}
		})
	}
	all.Wait()
	close(answers)
	require.Len(t, answers, senders*rounds, "requests that were answered")
	stored := 0
	for a := range answers {
		p := as[published](t, a)
		stored += p.Stored
		require.Equal(t, int64(1), p.Results[0].Seq)
	}
	require.Equal(t, 1, stored)
	require.Len(t, n.events(""), 1)
	n.requireCounts(1, senders*rounds-1)
}

func TestADuplicateWithOtherContentIsMarkedAsAConflict(t *testing.T) {
	original := newEvent("a", "1")
	tests := []struct {
		name     string
		change   func(*event)
		conflict bool
	}{
		{"the same content is no conflict", func(*event) {}, false},
		{"another source", func(e *event) { e.Source = "elsewhere" }, true},
		{"another timestamp", func(e *event) { e.Timestamp = "2025-10-24T10:30:01Z" }, true},
		{"the same instant written otherwise", func(e *event) { e.Timestamp = "2025-10-24T10:30:00+00:00" }, true},
		{"another payload", func(e *event) { e.Payload = json.RawMessage(`{"n":2}`) }, true},
	}
	n := start(t, setup{})
	n.publish(original)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := n.on(t)
			e := original
			tt.change(&e)
			r := n.publish(e).Results[0]
			require.Equal(t, result{Outcome: "duplicate", Seq: 1, Conflict: tt.conflict}, r)
		})
	}
	require.EqualValues(t, 4, n.stats().Conflicts)
	require.Equal(t, original.Source, n.events("")[0].Source, "the first write wins")
}

func TestAPayloadThatDiffersInWhitespaceIsAConflict(t *testing.T) {
	n := start(t, setup{})
	const head = `{"topic":"a","event_id":"1","timestamp":"2025-10-24T10:30:00Z","source":"s","payload":`
	require.Equal(t, 1, n.publishBody(head+`{"n":1}}`).Stored)
	require.False(t, n.publishBody(head + `{"n":1}  }`).Results[0].Conflict, "around the payload it does not count")
	require.True(t, n.publishBody(head + `{"n": 1}}`).Results[0].Conflict)
}

func TestAConflictWithinOneBatchIsMarked(t *testing.T) {
	n := start(t, setup{})
	other := newEvent("a", "1")
	other.Source = "elsewhere"
	p := n.publish([]event{newEvent("a", "1"), other, newEvent("a", "1")})
	require.Equal(t, []result{{Outcome: "stored", Seq: 1}, {Outcome: "duplicate", Seq: 1, Conflict: true}, {Outcome: "duplicate", Seq: 1}}, p.Results)
}

func TestIDsAreComparedByteForByte(t *testing.T) {
	n := start(t, setup{})
	different := []string{"evt", "Evt", "evt ", " evt", "evt%20", "\u00e9", "e\u0301", "\u00c9", "0", "00", "0.0"}
	require.Equal(t, len(different), n.publish(newEvents("a", different...)).Stored)
	require.Equal(t, different, ids(n.events("")))
}

func TestAnEscapedIDIsTheSameID(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvent("a", "e/1"))
	body := `{"topic":"\u0061","event_id":"\u0065\/1","timestamp":"2025-10-24T10:30:00Z","source":"test","payload":{"n":1}}`
	require.Equal(t, []result{{Outcome: "duplicate", Seq: 1}}, n.publishBody(body).Results)
}

func TestARepeatAfterARestartIsADuplicate(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvents("a", "1", "2"))
	n.restart()
	other := newEvent("a", "2")
	other.Source = "elsewhere"
	p := n.publish([]event{newEvent("a", "1"), other, newEvent("a", "3")})
	require.Equal(t, []result{{Outcome: "duplicate", Seq: 1}, {Outcome: "duplicate", Seq: 2, Conflict: true}, {Outcome: "stored", Seq: 3}}, p.Results)
}

func TestDedupDoesNotDependOnWhatMemoryHolds(t *testing.T) {
	s := setup{}
	s.actors.SeenCacheEntries = 1
	n := start(t, s)
	names := numbered("id", 50)
	require.Equal(t, 50, n.publish(newEvents("a", names...)).Stored)
	for range 2 {
		p := n.publish(newEvents("a", names...))
		require.Zero(t, p.Stored)
		for i, r := range p.Results {
			require.Equal(t, result{Outcome: "duplicate", Seq: int64(i + 1)}, r)
		}
	}
	n.requireCounts(50, 100)
}
