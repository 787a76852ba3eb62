package profile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"sekali"
	"sekali/client"
	"sekali/internal/progress"
	"sekali/loadtest/generator"
)

// restartBatch is how many events one request of the load has.
const restartBatch = 100

// restartEvents are the events of one run of the profile, by number. They may
// be used from any goroutine. Their topics are not those of the generator's
// runs, since a kill -9 leaves holes in their numbers.
type restartEvents struct {
	run  generator.Run
	next atomic.Uint64
}

const restartTopics = 10

func newRestartEvents() *restartEvents {
	return &restartEvents{run: generator.NewRun(0, salt(), restartTopics)}
}

// take reserves n numbers that nobody else gets and returns the first.
func (e *restartEvents) take(n uint64) uint64 { return e.next.Add(n) - n }

// batch builds n events from a number on, the same ones each time.
func (e *restartEvents) batch(first, n uint64) []sekali.Event {
	events := make([]sekali.Event, n)
	for i := range events {
		number := first + uint64(i)
		events[i] = sekali.Event{
			Topic: fmt.Sprintf("restart.%08x.%d", e.run.Key, number%restartTopics), ID: e.run.ID(number), Source: "loadtest",
			Timestamp: "2025-10-24T10:30:00Z", Payload: generator.Payload(number),
		}
	}
	return events
}

// acknowledgement is what the server said of one request of the load.
type acknowledgement struct {
	first uint64 // number of its first event
	seqs  []int64
}

// restartLoad is the load before one end of the server.
type restartLoad struct {
	events *restartEvents
	client *client.Client
	phase  *progress.Phase

	ending   atomic.Bool // no further requests
	mayFail  atomic.Bool // the server is being killed
	sent     atomic.Int64
	cancel   context.CancelFunc
	finished sync.WaitGroup

	mu     sync.Mutex
	acked  []acknowledgement // in the order of their arrival
	stored int64
	err    error
}

// load sends events on all connections, and goes on when it returns.
func (r *restarter) load(ctx context.Context, name string) (*restartLoad, error) {
	phase := r.o.Display.Time(name, r.o.Load)
	defer phase.Finish()
	loading, cancel := context.WithCancel(ctx)
	l := &restartLoad{events: r.events, client: r.client, phase: phase, cancel: cancel}
	for range r.o.Connections {
		l.finished.Go(func() { l.send(loading) })
	}
	timer := time.NewTimer(r.o.Load)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := errors.Join(context.Cause(ctx), l.failure()); err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

func (l *restartLoad) send(ctx context.Context) {
	for !l.ending.Load() {
		first := l.events.take(restartBatch)
		l.sent.Add(restartBatch)
		results, err := l.client.Publish(ctx, l.events.batch(first, restartBatch))
		if err != nil {
			l.failed(err)
			return
		}
		if err := l.acknowledge(first, results); err != nil {
			l.failed(err)
			return
		}
		l.phase.Add(restartBatch)
	}
}

func (l *restartLoad) acknowledge(first uint64, results []client.Result) error {
	a := acknowledgement{first: first, seqs: make([]int64, len(results))}
	for i, answer := range results {
		if err := requireStored(answer); err != nil {
			return fmt.Errorf("event %d of a request: %w", i, err)
		}
		a.seqs[i] = answer.Seq
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, a)
	l.stored += int64(len(results))
	return nil
}

// requireStored finds what is wrong with the answer for an event that was never
// acknowledged before. A duplicate is right when an earlier attempt was stored
// and its answer lost, which does not happen without a failure.
func requireStored(answer client.Result) error {
	if answer.Outcome != sekali.OutcomeStored || answer.Seq <= 0 {
		return fmt.Errorf("it is new and was answered as %v with seq %d", answer.Outcome, answer.Seq)
	}
	return nil
}

// failed keeps the first failure that is not due to the server being killed.
func (l *restartLoad) failed(err error) {
	if l.mayFail.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("load: %w", err)
	}
}

func (l *restartLoad) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// expectFailure says that requests fail from now on.
func (l *restartLoad) expectFailure() {
	l.mayFail.Store(true)
	l.ending.Store(true)
}

// stop ends the load. Requests to a server that is there are waited for.
func (l *restartLoad) stop() {
	l.ending.Store(true)
	if l.mayFail.Load() {
		l.cancel()
	}
	l.finished.Wait()
	l.cancel()
}

// unknown is how many events were sent without an answer.
func (l *restartLoad) unknown() int64 { return l.sent.Load() - l.stored }

// fillForRestart stores a number of new events, as fast as the server takes
// them.
func fillForRestart(ctx context.Context, url string, events int64, o RestartOptions) error {
	target, err := generator.NewTarget(url, "")
	if err != nil {
		return err
	}
	pool, err := generator.Dial(ctx, target, o.Connections)
	if err != nil {
		return err
	}
	defer pool.Close()
	run := generator.NewRun(0, salt(), restartTopics)
	stream := generator.NewStream(run, restartBatch, pool.Size(), generator.Repeats{}, 0)
	stream.Allow(int64(math.Ceil(float64(events) / restartBatch)))
	phase := o.Display.Events("fill", events)
	defer phase.Finish()
	return generator.Closed(ctx, pool, generator.Publishers(target, stream, generator.SendAgain), generator.Limits{OnEvents: phase.Add}).Err()
}
