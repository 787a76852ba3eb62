package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"sekali"
)

const (
	// Limits of one transaction. Its length is what an event of a quiet topic
	// waits for, twice; a thousand events take about 5 ms, and more of them bring
	// the rate up by a tenth at most.
	maxCommitEvents = 1000
	maxCommitBytes  = 8 << 20
	// What the counts of duplicates add to one transaction: those of half a
	// second are written over several, lest the events of one wait for all of
	// them. A longer queue is written in larger portions, so that it stays at
	// tallyPortions times what one transaction brings.
	minCommitTallies = 500
	tallyPortions    = 16

	// tallyDelay is how long a counted duplicate may wait for its transaction;
	// with the time of the commit itself this keeps the counter less than a
	// second behind after a crash.
	tallyDelay = 500 * time.Millisecond
)

// committer is the write side: one goroutine that merges what the topics hand
// in into one transaction at a time. While that is being synced the topics
// fill the next one: the busier the node, the larger the group that shares an
// fsync. Topics take turns in the order of their batches, and each has one
// batch under way, so none can crowd out the rest.
type committer struct {
	store  sekali.Store
	log    *slog.Logger
	send   func(to *actor.PID, msg any)
	stats  *actor.PID
	failed chan struct{} // closed when the store has stopped for good
	quiet  logThrottle

	mu        sync.Mutex
	queue     []*topicBatch
	tallies   tallyQueue
	settling  []settleRequest
	stopping  bool
	wake      chan struct{}
	done      chan struct{}
	tallyTick *time.Timer // fires when tallies are due
	due       bool        // tallies are to be written with the next transaction
	paused    time.Time   // no transaction for tallies alone before this, after one failed
}

// settleRequest waits until the first upTo tallies have been written or put
// back.
type settleRequest struct {
	upTo uint64
	done chan struct{}
}

func newCommitter(store sekali.Store, log *slog.Logger, stats *actor.PID, send func(*actor.PID, any)) *committer {
	c := &committer{
		store: store, log: log, stats: stats, send: send,
		failed: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.tallyTick = time.AfterFunc(time.Hour, c.talliesDue)
	c.tallyTick.Stop()
	return c
}

// submit queues a topic's batch; it never blocks. The topic gets a
// *batchCommitted.
//
// Next: [committer.commitBatch].
func (c *committer) submit(b *topicBatch) {
	c.mu.Lock()
	c.queue = append(c.queue, b)
	c.mu.Unlock()
	c.wakeUp()
}

// countDuplicates takes note of duplicates, to be written within tallyDelay.
func (c *committer) countDuplicates(tallies []sekali.DuplicateTally) {
	if len(tallies) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tallies.len() == 0 {
		c.tallyTick.Reset(tallyDelay)
	}
	for _, t := range tallies {
		c.tallies.add(t)
	}
}

func (c *committer) talliesDue() {
	c.mu.Lock()
	c.due = c.tallies.len() > 0
	c.mu.Unlock()
	c.wakeUp()
}

// settle waits until the duplicates counted before the call are written, so
// that a reader of the store sees them. When they cannot be written now it
// returns without error all the same: they are not lost, only late.
func (c *committer) settle(ctx context.Context) error {
	c.mu.Lock()
	if c.tallies.added == c.tallies.written {
		c.mu.Unlock()
		return nil
	}
	r := settleRequest{upTo: c.tallies.added, done: make(chan struct{})}
	c.settling = append(c.settling, r)
	c.due = true
	c.mu.Unlock()
	c.wakeUp()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *committer) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default: // it has been told already
	}
}

// commit is the content of one transaction.
type commit struct {
	batches []*topicBatch
	tallies []sekali.DuplicateTally
	events  int
}

// run commits until stop; the caller starts it as a goroutine.
func (c *committer) run() {
	defer close(c.done)
	for range c.wake {
		for {
			// Whoever is ready to run may add to the transaction first: on a busy
			// node it holds half as much again, and an idle one loses nothing.
			runtime.Gosched()
			next, stopping := c.next()
			if next != nil {
				c.commitBatch(next)
				continue
			}
			if stopping {
				return
			}
			break
		}
	}
}

// stop writes what is queued and ends run, unless ctx ends before.
func (c *committer) stop(ctx context.Context) error {
	c.mu.Lock()
	c.stopping, c.due = true, true
	c.mu.Unlock()
	c.tallyTick.Stop()
	c.wakeUp()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the last commit: %w", ctx.Err())
	}
}

// next takes the content of the next transaction from the queue: topics in
// their order, as many as fit. It returns nil when there is nothing to do.
func (c *committer) next() (_ *commit, stopping bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &commit{}
	bytes := 0
	for len(c.queue) > 0 {
		b := c.queue[0]
		if next.events > 0 && (next.events+len(b.events) > maxCommitEvents || bytes+b.bytes > maxCommitBytes) {
			break
		}
		next.batches = append(next.batches, b)
		next.events += len(b.events)
		bytes += b.bytes
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
	if c.due && c.tallies.len() > 0 && (next.events > 0 || c.stopping || time.Now().After(c.paused)) {
		next.tallies = c.tallies.take(max(minCommitTallies, c.tallies.len()/tallyPortions))
		c.due = c.tallies.len() > 0
	}
	if next.events == 0 && len(next.tallies) == 0 {
		return nil, c.stopping
	}
	return next, c.stopping
}

// commitBatch runs one transaction and tells every topic in it what became of
// its events. Nothing is told before the store has returned from the durable
// commit.
//
// Next: [sekali.Store.AppendBatch], then [topicActor.finishBatch].
func (c *committer) commitBatch(next *commit) {
	batch := sekali.Batch{Events: make([]sekali.Event, 0, next.events), Duplicates: next.tallies, At: time.Now().UTC()}
	for _, b := range next.batches {
		for _, e := range b.events {
			batch.Events = append(batch.Events, *e)
		}
	}
	appended, err := c.append(batch)
	c.settleTallies(next.tallies, err == nil)
	if err != nil {
		c.commitFailed(next, err)
		return
	}
	c.countStored(appended)
	decisions := appended.Decisions
	told := make([]batchCommitted, len(next.batches))
	for i, b := range next.batches {
		n := len(b.events)
		told[i] = batchCommitted{generation: b.generation, decisions: decisions[:n:n]}
		decisions = decisions[n:]
		c.send(b.from, &told[i])
	}
}

// countStored reports to the statistics before any topic can answer, and
// whether or not its actor is still the one that asked.
func (c *committer) countStored(a sekali.Appended) {
	stored := int64(0)
	for i := range a.Decisions {
		if a.Decisions[i].Stored {
			stored++
		}
	}
	if stored > 0 {
		c.send(c.stats, &eventsStored{count: stored, newTopics: a.NewTopics})
	}
}

// append calls the store. A panic there leaves the store in an unknown state;
// it counts as its failure and nothing is written any more.
func (c *committer) append(batch sekali.Batch) (_ sekali.Appended, err error) {
	if c.hasFailed() {
		return sekali.Appended{}, sekali.ErrStorageFailed
	}
	defer func() {
		if p := recover(); p != nil {
			err = sekali.ErrStorageFailed.With(fmt.Errorf("panic in the store: %v", p))
		}
	}()
	appended, err := c.store.AppendBatch(context.Background(), batch)
	if err == nil && len(appended.Decisions) != len(batch.Events) {
		panic(fmt.Sprintf("BUG: %d decisions for %d events", len(appended.Decisions), len(batch.Events)))
	}
	return appended, err
}

// commitFailed answers everyone in the transaction with the error.
func (c *committer) commitFailed(next *commit, err error) {
	var known *sekali.Error
	if !errors.As(err, &known) {
		known = sekali.ErrStorageFailed.With(err)
	}
	if failures, say := c.quiet.note(time.Now()); say {
		c.log.Error("commit failed", "code", string(known.Code), "error", known.Err, "events", next.events, "topics", len(next.batches), "failures", failures)
	}
	if known.Code == sekali.CodeStorageFailed {
		c.fail()
	}
	for _, b := range next.batches {
		c.send(b.from, &batchCommitted{generation: b.generation, err: known})
	}
}

// fail is called by the run goroutine only.
func (c *committer) fail() {
	if !c.hasFailed() {
		close(c.failed)
	}
}

// hasFailed reports whether the store has stopped for good.
func (c *committer) hasFailed() bool {
	select {
	case <-c.failed:
		return true
	default:
		return false
	}
}

// settleTallies ends the wait of readers and, after a failure, keeps the
// tallies for later.
func (c *committer) settleTallies(tallies []sekali.DuplicateTally, written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if written {
		c.tallies.wrote(len(tallies))
	} else if len(tallies) > 0 {
		c.tallies.putBack(tallies)
		c.due, c.paused = false, time.Now().Add(tallyDelay)
		c.tallyTick.Reset(2 * tallyDelay)
	}
	waiting := c.settling[:0]
	for _, r := range c.settling {
		if written && r.upTo > c.tallies.written {
			waiting = append(waiting, r)
		} else {
			close(r.done)
		}
	}
	c.settling = waiting
}

// logThrottle lets one line a second through: while the disk is full every
// commit fails.
type logThrottle struct {
	said  time.Time
	count int
}

// note counts a failure and returns, once a second, how many there were since.
func (l *logThrottle) note(now time.Time) (count int, say bool) {
	l.count++
	if now.Sub(l.said) < time.Second {
		return 0, false
	}
	count, l.count, l.said = l.count, 0, now
	return count, true
}
