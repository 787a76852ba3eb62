package storetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/stretchr/testify/require"

	"sekali"
)

var concurrencyTests = []test{
	{"concurrent readers see whole batches only", wholeBatches},
	{"every reading method may be called at any time by many goroutines", manyReaders},
}

// batchSize is the number of events of topic t in each batch of whole.
const batchSize = 7

func wholeBatches(f *fixture) {
	readers := startReaders(f, 3, func(ctx context.Context) error { return checkWhole(ctx, f.Store) })
	for n := range 120 {
		var events []sekali.Event
		for i := range batchSize {
			events = append(events, event("t", fmt.Sprintf("%d-%d", n, i)))
		}
		f.append(events...)
	}
	readers.stop()
	require.NoError(f, checkWhole(f.Context(), f.Store))
}

// checkWhole counts the events of t in all the ways there are.
func checkWhole(ctx context.Context, s sekali.Store) error {
	page, err := s.Events(ctx, sekali.EventsQuery{Topic: "t", Limit: 10_000})
	if err != nil {
		return err
	}
	if len(page.Events)%batchSize != 0 && page.Next == 0 {
		return fmt.Errorf("a page has %d events: part of a batch", len(page.Events))
	}
	if n := len(page.Events); n > 0 && page.Next == 0 && page.Events[n-1].Seq != page.LastSeq {
		return fmt.Errorf("the page ends at %d and the newest is %d", page.Events[n-1].Seq, page.LastSeq)
	}
	totals, err := s.Totals(ctx)
	if err != nil {
		return err
	}
	if totals.Unique%batchSize != 0 {
		return fmt.Errorf("the totals count %d events: part of a batch", totals.Unique)
	}
	topic, err := s.Topic(ctx, "t")
	if sekali.CodeOf(err) == sekali.CodeNotFound {
		return nil // before the first batch
	}
	if err != nil {
		return err
	}
	if topic.Unique%batchSize != 0 {
		return fmt.Errorf("the topic counts %d events: part of a batch", topic.Unique)
	}
	if topic.Unique < totals.Unique {
		return fmt.Errorf("the topic counts %d after the totals counted %d", topic.Unique, totals.Unique)
	}
	return nil
}

func manyReaders(f *fixture) {
	f.append(event("t", "first"))
	readers := startReaders(f, 4, func(ctx context.Context) error { return readEverything(ctx, f.Store) })
	for n := range 100 {
		seq := f.append(event("t", strconv.Itoa(n)), event("u"+strconv.Itoa(n%5), strconv.Itoa(n))).Decisions[0].Seq
		f.appendBatch(sekali.Batch{Duplicates: []sekali.DuplicateTally{{Topic: "t", Seq: seq, Count: 1, LastAt: at(n)}}})
	}
	readers.stop()
	require.EqualValues(f, 100, f.topic("t").Duplicates)
	require.EqualValues(f, 201, f.totals().Unique)
}

func readEverything(ctx context.Context, s sekali.Store) error {
	if _, err := s.Event(ctx, "t", "first"); err != nil {
		return err
	}
	if _, err := s.Topic(ctx, "t"); err != nil {
		return err
	}
	if _, err := s.Topics(ctx, sekali.TopicsQuery{Limit: 3}); err != nil {
		return err
	}
	if _, err := s.Totals(ctx); err != nil {
		return err
	}
	q := sekali.EventsQuery{Limit: 10, Descending: true}
	page, err := s.Events(ctx, q)
	if err != nil {
		return err
	}
	if len(page.Events) == 0 {
		return fmt.Errorf("no events although one was stored before")
	}
	return nil
}

// readers are goroutines that read in a loop until stop.
type readers struct {
	f      *fixture
	quit   chan struct{}
	done   sync.WaitGroup
	errors chan error
}

// startReaders calls check in n goroutines, each at least once.
func startReaders(f *fixture, n int, check func(context.Context) error) *readers {
	r := &readers{f: f, quit: make(chan struct{}), errors: make(chan error, n)}
	ctx := uncanceled(f)
	for range n {
		r.done.Go(func() {
			for {
				if err := check(ctx); err != nil {
					r.errors <- err
					return
				}
				select {
				case <-r.quit:
					return
				default:
				}
			}
		})
	}
	return r
}

// stop ends the readers and fails the test when one of them saw something wrong.
func (r *readers) stop() {
	r.f.Helper()
	close(r.quit)
	r.done.Wait()
	close(r.errors)
	for err := range r.errors {
		require.NoError(r.f, err)
	}
}
