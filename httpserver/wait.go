package httpserver

import (
	"context"
	"sync"
	"time"
)

// waitContext is the context of one Ingest: it ends after a time.
type waitContext struct {
	context.Context // its values: none

	timer *time.Timer
	until time.Time
	done  chan struct{}
}

// waits has the contexts that did not end, to be used again: that spares each
// request the five allocations of context.WithTimeout.
type waits struct{ unused sync.Pool }

// get returns a context that ends after a time, to be given to put.
func (p *waits) get(d time.Duration) *waitContext {
	w, ok := p.unused.Get().(*waitContext)
	if ok {
		w.timer.Reset(d)
	} else {
		w = &waitContext{Context: context.Background(), done: make(chan struct{})}
		w.timer = time.AfterFunc(d, func() { close(w.done) })
	}
	w.until = time.Now().Add(d)
	return w
}

// put takes a context that nobody looks at any more.
func (p *waits) put(w *waitContext) {
	if w.timer.Stop() { // otherwise it has ended
		p.unused.Put(w)
	}
}

// Done implements context.Context.
func (w *waitContext) Done() <-chan struct{} { return w.done }

// Deadline implements context.Context.
func (w *waitContext) Deadline() (until time.Time, ok bool) { return w.until, true }

// Err implements context.Context.
func (w *waitContext) Err() error {
	select {
	case <-w.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
