package httpserver_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThousandsOfEventsAreCountedExactly(t *testing.T) {
	tests := []struct {
		name                       string
		events, percent            int // of the events, how many repeat one
		topics, batch, connections int
	}{
		{"500 events with 60 % duplicates in one batch", 500, 60, 1, 500, 1},
		{"5,000 events with 20 % duplicates in batches", 5000, 20, 4, 100, 4},
		{"5,000 events with 50 % duplicates in batches", 5000, 50, 1, 250, 8},
		{"6,000 events with 60 % duplicates in batches of all sizes", 6000, 60, 16, 0, 8},
		{"5,000 single events with 50 % duplicates", 5000, 50, 8, 1, 32},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, setup{})
			unique := tt.events * (100 - tt.percent) / 100
			random := rand.New(rand.NewPCG(5000, uint64(tt.percent)))
			bodies := make(chan string, tt.events)
			for _, batch := range cut(random, stressEvents(random, tt.events, unique, tt.topics), tt.batch) {
				bodies <- encode(t, batch)
			}
			close(bodies)
			stored, duplicates := n.sendAll(bodies, tt.connections)
			require.EqualValues(t, unique, stored)
			require.EqualValues(t, tt.events-unique, duplicates)
			n.requireCounts(int64(unique), int64(tt.events-unique))
			require.Len(t, n.stats().Topics, tt.topics)
			requireEachOnce(t, n.events(""), unique)
			n.restart()
			n.requireCounts(int64(unique), int64(tt.events-unique))
		})
	}
}

// stressEvents returns unique events and repeats of them, mixed.
func stressEvents(random *rand.Rand, count, unique, topics int) []event {
	events := make([]event, count)
	for i := range events {
		id := i
		if i >= unique {
			id = random.IntN(unique)
		}
		events[i] = newEvent(fmt.Sprint("t", id%topics), fmt.Sprint("e", id))
	}
	random.Shuffle(count, func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events
}

// cut cuts the events into batches of a size, 0 standing for 1 to 100.
func cut(random *rand.Rand, events []event, size int) (batches [][]event) {
	for len(events) > 0 {
		n := size
		if n == 0 {
			n = 1 + random.IntN(100)
		}
		n = min(n, len(events))
		batches, events = append(batches, events[:n]), events[n:]
	}
	return batches
}

// sendAll publishes the bodies over so many connections at once.
func (n *node) sendAll(bodies <-chan string, connections int) (stored, duplicates int64) {
	n.t.Helper()
	var storedSum, duplicateSum atomic.Int64
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for body := range bodies {
				a, err := n.try("POST", "/publish", body)
				if err != nil || a.status != http.StatusOK {
					n.t.Errorf("publish: %v %s", err, a.body)
					continue
				}
				p := as[published](n.t, a)
				storedSum.Add(int64(p.Stored))
				duplicateSum.Add(int64(p.Duplicates))
			}
		})
	}
	all.Wait()
	return storedSum.Load(), duplicateSum.Load()
}

func requireEachOnce(t testing.TB, events []storedEvent, count int) {
	t.Helper()
	require.Len(t, events, count)
	seen := make(map[string]bool, count)
	for i, e := range events {
		seen[e.Topic+"\x00"+e.EventID] = true
		require.EqualValues(t, i+1, e.Seq, "the seqs have no gaps")
	}
	require.Len(t, seen, count)
}
