package contender

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

// Feed hands out a plan's events batch by batch, in order, to any number of
// goroutines, until the plan or the time is up: what was handed out is always
// the beginning of the plan.
type Feed struct {
	plan     *events.Plan
	size     int
	deadline time.Time

	mu   sync.Mutex
	sent int
}

// NewFeed hands out batches of a size until the deadline.
func NewFeed(plan *events.Plan, size int, deadline time.Time) *Feed {
	return &Feed{plan: plan, size: size, deadline: deadline}
}

// Next fills the batch; false when there is nothing more to send.
func (f *Feed) Next(b *events.Batch) bool {
	f.mu.Lock()
	first := f.sent
	if first < f.plan.Total() && time.Now().After(f.deadline) {
		f.mu.Unlock()
		return false
	}
	f.sent = min(first+f.size, f.plan.Total())
	f.mu.Unlock()
	if first == f.plan.Total() {
		return false
	}
	b.Fill(f.plan, first, f.size)
	return true
}

// Sent is how many events were handed out.
func (f *Feed) Sent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// send stores one batch and returns how many of its events were stored and how
// many were there before, as the peer said.
type send func(ctx context.Context, b *events.Batch) (stored, duplicates int, err error)

// drive sends the feed's batches, each sender one after the other.
func drive(ctx context.Context, feed *Feed, recorder *measure.Recorder, senders []send) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, sender := range senders {
		group.Go(func() error {
			var b events.Batch
			for ctx.Err() == nil && feed.Next(&b) {
				began := time.Now()
				stored, duplicates, err := sender(ctx, &b)
				if err != nil {
					return fmt.Errorf("send %d events: %w", len(b.Events), err)
				}
				recorder.Add(time.Since(began), stored, duplicates)
			}
			return context.Cause(ctx)
		})
	}
	return group.Wait()
}
