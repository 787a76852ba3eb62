package httpserver_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStatsOfAnEmptyServer(t *testing.T) {
	n := start(t, setup{})
	s := n.stats()
	require.Zero(t, s.Received)
	require.NotNil(t, s.Topics)
	require.Empty(t, s.Topics)
	require.False(t, s.TopicsTruncated)
	require.Equal(t, "durable", s.Durability)
}

func TestReceivedIsUniquePlusDuplicates(t *testing.T) {
	n := start(t, setup{})
	for i := range 10 {
		n.publish(newEvents("a", numbered("e", i+1)...))
		s := n.stats()
		require.EqualValues(t, (i+1)*(i+2)/2, s.Received)
		require.EqualValues(t, i+1, s.UniqueProcessed)
		require.EqualValues(t, i*(i+1)/2, s.DuplicateDropped)
	}
}

func TestRefusedRequestsCountNothing(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvent("a", "1"))
	before := n.stats()
	faulty := newEvents("b", "1", "2")
	faulty[1].EventID = ""
	for _, body := range []string{"", "{", "[5]", `{"events":5}`, encode(t, faulty), encode(t, newEvent("b", "x\x00"))} {
		a := n.do("POST", "/publish", body)
		require.NotEqual(t, http.StatusOK, a.status, "%s", body)
	}
	after := n.stats()
	after.UptimeSeconds = before.UptimeSeconds
	require.Equal(t, before, after)
}

func TestEveryAnswerIsCountedAtOnce(t *testing.T) {
	n := start(t, setup{})
	random := rand.New(rand.NewPCG(1, 2))
	var unique, duplicates int64
	for range 100 {
		p := n.publish(newEvents(fmt.Sprint("t", random.IntN(3)), numbered("e", 1+random.IntN(20))...))
		unique += int64(p.Stored)
		duplicates += int64(p.Duplicates)
		n.requireCounts(unique, duplicates)
	}
}

func TestStatsAddUpWhileEventsArrive(t *testing.T) {
	n := start(t, setup{})
	const senders, rounds, batch = 8, 20, 10
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for round := range rounds {
				// Each batch has five ids that every sender sends and five of its own.
				ids := append(numbered(fmt.Sprint("all-", round), batch/2), numbered(fmt.Sprint("own-", sender, "-", round), batch/2)...)
				a, err := n.try("POST", "/publish", encode(t, newEvents(fmt.Sprint("t", round%3), ids...)))
				if err != nil || a.status != http.StatusOK {
					t.Errorf("publish: %v %s", err, a.body)
				}
			}
		})
	}
	all.Go(func() {
		var last int64
		for range 50 {
			a, err := n.try("GET", "/stats", "")
			if err != nil {
				t.Errorf("stats: %v", err)
				return
			}
			s := as[stats](t, a)
			if s.Received != s.UniqueProcessed+s.DuplicateDropped || s.Received < last {
				t.Errorf("the counts do not add up or went back: %+v after %d", s, last)
			}
			last = s.Received
		}
	})
	all.Wait()
	const unique = rounds*batch/2 + senders*rounds*batch/2
	n.requireCounts(unique, senders*rounds*batch-unique)
	require.Zero(t, n.stats().InFlight)
}

func TestStatsComeBackAfterARestart(t *testing.T) {
	n := start(t, setup{})
	other := newEvent("b", "1")
	other.Source = "elsewhere"
	n.publish([]event{newEvent("b", "1"), newEvent("a", "1"), newEvent("a", "1"), other})
	before := n.stats()
	n.restart()
	after := n.stats()
	require.NotEqual(t, before.StartedAt, after.StartedAt)
	require.EqualValues(t, 2, after.UniqueProcessed)
	require.EqualValues(t, 2, after.DuplicateDropped)
	require.EqualValues(t, 1, after.Conflicts)
	require.Equal(t, []string{"a", "b"}, after.Topics)
	n.publish(newEvents("a", "1", "2"))
	n.requireCounts(3, 3)
}

func TestTopicsInStatsAreSorted(t *testing.T) {
	n := start(t, setup{})
	for _, topic := range []string{"user.created", "Z", "order.created", "é", "a/b", "a"} {
		n.publish(newEvent(topic, "1"))
	}
	want := []string{"Z", "a", "a/b", "order.created", "user.created", "é"}
	require.Equal(t, want, n.stats().Topics)
	n.restart()
	require.Equal(t, want, n.stats().Topics)
}

func TestALongListOfTopicsIsCutAndSaysSo(t *testing.T) {
	n := start(t, setup{})
	var events []event
	for i := range 1000 {
		events = append(events, newEvent(fmt.Sprintf("topic-%04d", i), "1"))
	}
	n.publish(events)
	s := n.stats()
	require.Len(t, s.Topics, 1000)
	require.EqualValues(t, 1000, s.TopicsTotal)
	require.False(t, s.TopicsTruncated)

	n.publish([]event{newEvent("topic-0000a", "1"), newEvent("zzz", "1")})
	for range 2 {
		s = n.stats()
		require.Len(t, s.Topics, 1000)
		require.True(t, slices.IsSorted(s.Topics))
		require.Equal(t, "topic-0000a", s.Topics[1])
		require.NotContains(t, s.Topics, "zzz")
		require.EqualValues(t, 1002, s.TopicsTotal)
		require.True(t, s.TopicsTruncated)
		n.restart()
	}
}

func TestUptimeCountsFromTheStart(t *testing.T) {
	before := time.Now()
	n := start(t, setup{})
	s := n.stats()
	started, err := time.Parse(time.RFC3339Nano, s.StartedAt)
	require.NoError(t, err)
	require.WithinRange(t, started, before.Truncate(time.Microsecond), time.Now())
	require.GreaterOrEqual(t, s.UptimeSeconds, 0.0)
	require.LessOrEqual(t, s.UptimeSeconds, time.Since(before).Seconds()+0.001)
	require.GreaterOrEqual(t, n.stats().UptimeSeconds, s.UptimeSeconds)
}

func TestRelaxedDurabilityIsSaidInStatsAndAnswers(t *testing.T) {
	s := setup{}
	s.http.Durability = "relaxed"
	n := start(t, s)
	a := n.do("POST", "/publish", encode(t, newEvent("a", "1")))
	require.Contains(t, string(a.body), `"durability":"relaxed"`)
	require.Equal(t, "relaxed", n.stats().Durability)
}
