package httpserver_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEventsSurviveARestartByteForByte(t *testing.T) {
	n := start(t, setup{})
	for i := range 10 {
		e := newEvent(fmt.Sprint("t", i%3), fmt.Sprint("e", i))
		e.Payload = []byte(`{"n":9007199254740993,"s":"é\u00e9"}`)
		n.publish(e)
	}
	before := n.do("GET", "/events", "")
	topics := n.do("GET", "/topics", "")
	for range 3 {
		n.restart()
		require.Equal(t, string(before.body), string(n.do("GET", "/events", "").body))
		require.Equal(t, string(topics.body), string(n.do("GET", "/topics", "").body))
		n.requireCounts(10, 0)
	}
}

func TestEventsFromBeforeARestartAreNotTakenAgain(t *testing.T) {
	n := start(t, setup{})
	batch := newEvents("a", numbered("e", 200)...)
	require.Equal(t, 200, n.publish(batch).Stored)
	for run := range 3 {
		n.restart()
		p := n.publish(batch)
		require.Equal(t, 200, p.Duplicates)
		for i, r := range p.Results {
			require.Equal(t, result{Outcome: "duplicate", Seq: int64(i + 1)}, r)
		}
		n.requireCounts(200, int64(200*(run+1)))
	}
	require.Len(t, n.events(""), 200)
}

func TestNumberingGoesOnAfterARestart(t *testing.T) {
	n := start(t, setup{})
	var last int64
	for run := range 4 {
		for i := range 3 {
			seq := n.publish(newEvent("a", fmt.Sprint(run, "-", i))).Results[0].Seq
			require.Equal(t, last+1, seq)
			last = seq
		}
		n.restart()
	}
}

func TestAReaderContinuesAfterARestartWhereItWas(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvents("a", numbered("e", 10)...))
	first := n.do("GET", "/events?limit=4", "")
	n.restart()
	rest := as[[]storedEvent](t, n.do("GET", next(t, first)+"&order=asc", ""))
	require.Equal(t, []string{"e-4", "e-5", "e-6", "e-7"}, ids(rest))
}
