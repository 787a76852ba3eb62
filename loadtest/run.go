package loadtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sekali/client"
	"sekali/internal/progress"
)

// run is one run while it is on.
type run struct {
	options  Options
	plan     *plan
	client   *client.Client
	ledger   ledgerWriter
	progress *progress.Phase

	requests []requestRecord // one per request of the plan
	sends    []sendRecord    // one per send
	tally    *tally          // after load
	start    time.Time
	wall     time.Duration // from start to the last answer

	next    atomic.Int64 // request to be sent next
	stopped atomic.Bool  // no further request is begun

	mu      sync.Mutex
	failure error // the first thing that stopped the run

	before  client.Stats
	health  client.Health
	verdict verdict
}

// Run plans, sends and verifies. The error says that the run could not begin:
// wrong options, or no server. Once it has begun there is a Report, whose OK
// method tells whether everything matched.
func Run(ctx context.Context, options Options) (*Report, error) {
	o, err := options.WithDefaults()
	if err != nil {
		return nil, err
	}
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.load(ctx)
	r.verify(ctx)
	return r.report(), nil
}

func newRun(o Options) (*run, error) {
	p, err := newPlan(o)
	if err != nil {
		return nil, err
	}
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	return &run{
		options: o, plan: p, client: c,
		ledger:   ledgerWriter{out: o.Ledger},
		requests: make([]requestRecord, p.requests()),
		sends:    make([]sendRecord, len(p.sends)),
	}, nil
}

// newClient retries for some seconds: long enough for a server that is busy,
// short enough to report one that died.
func newClient(o Options) (*client.Client, error) {
	return client.New(o.URL, client.Options{
		APIKey: o.APIKey, RootCAs: o.RootCAs, MaxIdleConns: o.Connections + 1, UserAgent: "sekali-loadtest",
		MaxAttempts: 10, MinBackoff: 50 * time.Millisecond, MaxBackoff: time.Second,
	})
}

// prepare makes sure that the server is there, notes its counts and opens the
// connections, so that the clock measures none of it.
func (r *run) prepare(ctx context.Context) error {
	if err := r.client.Retry(ctx, r.client.Ready); err != nil {
		return fmt.Errorf("the server at %s is not ready: %w", r.options.URL, err)
	}
	var err error
	if r.health, err = r.client.Health(ctx); err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	if r.before, err = r.client.Stats(ctx); err != nil {
		return fmt.Errorf("read the server's counts: %w", err)
	}
	var connections sync.WaitGroup
	for range r.options.Connections {
		connections.Go(func() {
			_ = r.client.Ready(ctx) // Only the connection matters; sending will find what is wrong.
		})
	}
	connections.Wait()
	return nil
}

// load sends the plan and returns when every worker has ended.
func (r *run) load(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.options.Timeout,
		fmt.Errorf("the timeout of %s passed", r.options.Timeout))
	defer cancel()
	r.progress = r.options.display().Events("publish", int64(len(r.plan.sends)))
	tallies := make([]*tally, r.options.Connections)
	var workers sync.WaitGroup
	r.start = time.Now()
	for i := range tallies {
		tallies[i] = newTally()
		workers.Go(func() { r.work(ctx, tallies[i]) })
	}
	workers.Wait()
	r.wall = r.lastAnswer()
	r.progress.Finish()
	r.tally = merge(tallies)
}

// lastAnswer is when the last answer arrived, since the start. The time after
// it, in which a run may wait for a server that died, is not counted as load.
func (r *run) lastAnswer() time.Duration {
	var last time.Duration
	for i := range r.requests {
		if r.requests[i].state == requestAnswered {
			last = max(last, r.requests[i].end)
		}
	}
	if last == 0 {
		return time.Since(r.start)
	}
	return last
}

// work sends requests until none is left or the run has failed. A worker that
// fails lets the others finish the request that they have on the way.
func (r *run) work(ctx context.Context, t *tally) {
	for !r.stopped.Load() {
		i := int(r.next.Add(1)) - 1
		if i >= len(r.requests) {
			return
		}
		if err := r.send(ctx, t, i); err != nil {
			r.fail(err)
			return
		}
	}
}

func (r *run) fail(err error) {
	r.stopped.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = err
	}
}

// send publishes request i, with retries, and keeps its answer.
func (r *run) send(ctx context.Context, t *tally, i int) error {
	body, err := r.plan.body(i)
	if err != nil {
		return err
	}
	rec := &r.requests[i]
	var answer client.Answer
	err = r.client.Retry(ctx, func(ctx context.Context) (err error) {
		answer, err = r.client.PublishOnce(ctx, client.Request{Body: body})
		t.attempt(ctx, rec, answer, err)
		return err
	})
	rec.latency, rec.end = answer.Latency, time.Since(r.start)
	if err != nil {
		if rec.lost > 0 {
			rec.state = requestUnknown // An earlier attempt may have come through.
		}
		return fmt.Errorf("request %d: %w", i, err)
	}
	return r.keep(rec, i, answer)
}

// keep notes the answer to request i.
func (r *run) keep(rec *requestRecord, i int, answer client.Answer) error {
	rec.state = requestAnswered
	rec.accepted, rec.stored, rec.dups = answer.Accepted, answer.Stored, answer.Duplicates
	rec.results = int32(min(len(answer.Results), 1<<20))
	from, to := r.plan.request(i)
	if len(answer.Results) != to-from {
		return nil // The check of the answers reports it.
	}
	for j, result := range answer.Results {
		r.sends[from+j] = sendRecord{seq: result.Seq, outcome: result.Outcome, conflict: result.Conflict}
	}
	r.progress.Add(to - from)
	return r.ledger.write(r.plan, r.sends, from, to)
}
