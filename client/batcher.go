package client

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sekali"
)

// BatcherOptions are the settings of a Batcher. The zero value of each field
// stands for its default.
type BatcherOptions struct {
	// MaxEvents and MaxBytes send a batch when it has grown to either; the
	// Client's MaxBatchEvents and MaxBatchBytes by default.
	MaxEvents, MaxBytes int
	// Linger is how long the first event of a batch waits for company, 2 ms by
	// default.
	Linger time.Duration
	// Senders is how many batches may be on their way at a time, 4 by default.
	// When all of them are, the next batch fills up and then Publish blocks.
	Senders int
}

// Batcher turns single events of many goroutines into batches, so that they
// share a request and a commit. It holds at most Senders + 1 batches.
type Batcher struct {
	client  *Client
	options BatcherOptions
	ctx     context.Context // of the requests; see Close
	cancel  context.CancelFunc

	incoming  chan *pending
	outgoing  chan *batch
	closing   chan struct{} // closed by Close
	closeOnce sync.Once
	finished  chan struct{} // closed after every goroutine has ended
}

// pending is one event on its way. Its fate is sent exactly once.
type pending struct {
	event []byte // encoded
	fate  chan fate
}

type fate struct {
	result Result
	err    error
}

// batch is a JSON array under construction.
type batch struct {
	body    []byte
	waiters []chan fate
}

func (b *batch) add(p *pending) {
	separator := byte(',')
	if len(b.waiters) == 0 {
		separator = '['
	}
	b.body = append(append(b.body, separator), p.event...)
	b.waiters = append(b.waiters, p.fate)
}

// NewBatcher starts a Batcher. Close must be called to end it.
func (c *Client) NewBatcher(options BatcherOptions) *Batcher {
	setDefault(&options.MaxEvents, c.options.MaxBatchEvents)
	setDefault(&options.MaxBytes, c.options.MaxBatchBytes)
	setDefault(&options.Linger, 2*time.Millisecond)
	setDefault(&options.Senders, 4)
	ctx, cancel := context.WithCancel(context.Background())
	b := &Batcher{
		client: c, options: options, ctx: ctx, cancel: cancel,
		incoming: make(chan *pending),
		outgoing: make(chan *batch),
		closing:  make(chan struct{}),
		finished: make(chan struct{}),
	}
	b.start()
	return b
}

func (b *Batcher) start() {
	var running sync.WaitGroup
	running.Go(b.collect)
	for range max(1, b.options.Senders) {
		running.Go(b.send)
	}
	go func() {
		running.Wait()
		close(b.finished)
	}()
}

// Publish hands in one event and waits for its own result. It blocks while the
// Batcher is full. When ctx ends first, the error is ctx's and the event may
// still be stored. An event that the server finds invalid gets an *APIError of
// its own and does not disturb the others in its batch; a key that lacks the
// right to one of the topics is an error for the whole batch.
func (b *Batcher) Publish(ctx context.Context, event sekali.Event) (Result, error) {
	encoded, err := AppendEvent(nil, &event)
	if err != nil {
		return Result{}, fmt.Errorf("encode the event: %w", err)
	}
	p := &pending{event: encoded, fate: make(chan fate, 1)}
	select {
	case <-b.closing: // Nothing is taken after Close, even when both can go on.
		return Result{}, ErrClosed
	default:
	}
	select {
	case b.incoming <- p:
	case <-b.closing:
		return Result{}, ErrClosed
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
	select {
	case f := <-p.fate:
		return f.result, f.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("the event may still be stored: %w", context.Cause(ctx))
	}
}

// Close stops taking events, sends what was collected and waits until every
// event has its result. When ctx ends first, the requests are cancelled, their
// callers get errors, and Close returns ctx's error.
func (b *Batcher) Close(ctx context.Context) error {
	b.closeOnce.Do(func() { close(b.closing) })
	defer b.cancel()
	select {
	case <-b.finished:
		return nil
	case <-ctx.Done():
		b.cancel()
		<-b.finished
		return context.Cause(ctx)
	}
}

// collect gathers events into a batch and hands it to a sender that is free,
// after Linger or when it is full. Until one is free the batch grows; when it
// cannot grow, nothing more is taken: that is the back-pressure.
func (b *Batcher) collect() {
	defer close(b.outgoing)
	for {
		select {
		case p := <-b.incoming:
			b.fill(p)
		case <-b.closing:
			return
		}
	}
}

// fill builds the batch that starts with p and hands it over.
func (b *Batcher) fill(p *pending) {
	current := &batch{}
	current.add(p)
	linger := time.NewTimer(b.options.Linger)
	defer linger.Stop()
	due, closing := linger.C, b.closing
	var out chan *batch // nil, which blocks, until the batch is due
	for {
		incoming := b.incoming
		if b.full(current) {
			incoming, out = nil, b.outgoing
		}
		select {
		case p := <-incoming:
			current.add(p)
		case <-due:
			out = b.outgoing
		case <-closing:
			closing, out = nil, b.outgoing
		case out <- current:
			return
		}
	}
}

func (b *Batcher) full(current *batch) bool {
	return len(current.waiters) >= b.options.MaxEvents || len(current.body) >= b.options.MaxBytes
}

func (b *Batcher) send() {
	for current := range b.outgoing {
		req := Request{Body: append(current.body, ']'), Lenient: true}
		answer, err := b.client.publishRetrying(b.ctx, req, len(current.waiters))
		for i, waiter := range current.waiters {
			waiter <- fateOf(answer, i, err)
		}
	}
}

func fateOf(answer Answer, i int, err error) fate {
	if err != nil {
		return fate{err: err}
	}
	r := answer.Results[i]
	if r.Outcome != sekali.OutcomeInvalid {
		return fate{result: r}
	}
	return fate{result: r, err: &APIError{
		Status:    http.StatusUnprocessableEntity,
		Code:      string(sekali.CodeInvalidEvent),
		Detail:    describeFields(r.Invalid),
		Fields:    r.Invalid,
		RequestID: answer.RequestID,
	}}
}
