package generator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Limits bound a loop and say what to tell about it while it is on.
type Limits struct {
	// Duration ends the loop; requests on their way are waited for. 0 leaves the
	// end to the scripts.
	Duration time.Duration
	// Slice is the width of the slices of the measurement, 1 s by default.
	Slice time.Duration
	// OnEvents is called with the number of events of each answer, from the
	// goroutines of all connections; nil is not called.
	OnEvents func(int)
}

// Schedule is the plan of an open loop.
type Schedule struct {
	PerSecond float64 // requests, evenly spaced
	// MaxBacklog is how late a request may be sent; a later one is dropped and
	// counted as unsent, so that what waits is bounded. 1 s by default.
	MaxBacklog time.Duration
}

// Closed runs the scripts, one on each connection, each sending its next
// request when the last one was answered. A refused request is followed by the
// script's next one after a short pause. It returns when all have ended.
func Closed(ctx context.Context, p *Pool, scripts []Script, l Limits) *Measurement {
	return start(ctx, p, scripts, l).run(ctx, (*worker).closed)
}

// Open sends requests at the times of a schedule, whatever the server does,
// over as many connections as are free. It needs a duration, and lasts longer
// by at most the backlog: every request that was planned is sent or counted as
// unsent.
func Open(ctx context.Context, p *Pool, scripts []Script, schedule Schedule, l Limits) *Measurement {
	if schedule.MaxBacklog == 0 {
		schedule.MaxBacklog = time.Second
	}
	o := &opener{interval: max(1, time.Duration(float64(time.Second)/schedule.PerSecond)), backlog: schedule.MaxBacklog}
	o.planned = int64((l.Duration + o.interval - 1) / o.interval)
	l.Duration = 0 // The schedule ends the loop.
	return start(ctx, p, scripts, l).run(ctx, func(w *worker) { w.open(o) })
}

const (
	// refusalPause keeps a closed loop from spinning on a server that is full.
	refusalPause = 10 * time.Millisecond
	// refusalPatience is how long one connection may be refused without a break.
	refusalPatience = 30 * time.Second
)

// loop is a loop while it is on.
type loop struct {
	board   board
	until   time.Duration // 0 for no limit
	pool    *Pool
	workers []*worker
}

// worker is one connection of a loop with its script.
type worker struct {
	loop *loop
	ctx  context.Context // of the loop; a worker lives no longer
	conn *conn
	*recorder
	script  Script
	refused time.Time // since when without a break; zero when not
}

func start(ctx context.Context, p *Pool, scripts []Script, l Limits) *loop {
	if l.Slice == 0 {
		l.Slice = time.Second
	}
	lp := &loop{until: l.Duration, pool: p}
	lp.board.width, lp.board.onEvents = l.Slice, l.OnEvents
	for i, s := range scripts {
		lp.workers = append(lp.workers, &worker{loop: lp, ctx: ctx, conn: p.conns[i], recorder: newRecorder(&lp.board), script: s})
	}
	return lp
}

func (l *loop) run(ctx context.Context, work func(*worker)) *Measurement {
	release := context.AfterFunc(ctx, l.pool.Close)
	defer release()
	l.board.start = time.Now()
	var group sync.WaitGroup
	recorders := make([]*recorder, len(l.workers))
	for i, w := range l.workers {
		recorders[i] = w.recorder
		group.Go(func() { work(w) })
	}
	group.Wait()
	if ctx.Err() != nil {
		l.board.fail(fmt.Errorf("the load was interrupted: %w", context.Cause(ctx)), true)
	}
	return l.board.total(recorders)
}

// over reports that no further request is to be begun.
func (w *worker) over(now time.Time) bool {
	until := w.loop.until
	return w.board.stopped.Load() || w.ctx.Err() != nil || until > 0 && now.Sub(w.board.start) >= until
}

func (w *worker) closed() {
	for now := time.Now(); !w.over(now); {
		request := w.script.Next()
		if request == nil {
			return
		}
		j, arrived, ok := w.exchange(request, now, now)
		if !ok {
			return
		}
		now = arrived
		if !w.patient(j, now) {
			return
		}
		if j.Refused {
			if !w.pause(refusalPause) {
				return
			}
			now = time.Now()
		}
	}
}

// exchange sends a request and judges its answer; ok is false when the worker
// cannot go on.
func (w *worker) exchange(request []byte, wanted, sent time.Time) (j Judgement, arrived time.Time, ok bool) {
	answer, err := w.conn.do(w.ctx, request, sent)
	arrived = time.Now()
	if err != nil {
		if w.ctx.Err() == nil {
			w.board.fail(err, true)
		}
		return j, arrived, false
	}
	j = w.script.Judge(answer)
	w.answered(wanted, sent, arrived, j)
	return j, arrived, true
}

// patient ends a loop whose server does nothing but refuse.
func (w *worker) patient(j Judgement, now time.Time) bool {
	switch {
	case !j.Refused:
		w.refused = time.Time{}
	case w.refused.IsZero():
		w.refused = now
	case now.Sub(w.refused) > refusalPatience:
		w.board.fail(errors.New("the server refused one connection for "+refusalPatience.String()), true)
		return false
	}
	return true
}

// pause waits and reports whether the loop is still on.
func (w *worker) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// opener hands out the times of a schedule.
type opener struct {
	interval, backlog time.Duration
	planned           int64
	next              atomic.Int64
}

// take returns the time of the next request, since the start of the loop, and
// how many were dropped because they are later than the backlog allows; ok is
// false when none is left.
func (o *opener) take(now time.Duration) (at time.Duration, dropped int64, ok bool) {
	for {
		i := o.next.Load()
		take := min(max(i, int64((now-o.backlog)/o.interval)), o.planned)
		if o.next.CompareAndSwap(i, min(take+1, o.planned)) {
			return time.Duration(take) * o.interval, take - i, take < o.planned
		}
	}
}

func (w *worker) open(o *opener) {
	for now := time.Now(); !w.over(now); {
		at, dropped, ok := o.take(now.Sub(w.board.start))
		w.sum.Unsent += dropped
		if !ok {
			return
		}
		wanted := w.board.start.Add(at)
		sent := now
		if wait := wanted.Sub(now); wait > 0 {
			if !w.pause(wait) {
				return
			}
			// The connection was free in time. How late the clock woke it is the
			// generator's own lateness, and no fault of the server.
			sent = time.Now()
			record(w.sum.Late, sent.Sub(wanted))
			wanted = sent
		}
		request := w.script.Next()
		if request == nil {
			return
		}
		_, arrived, ok := w.exchange(request, wanted, sent)
		if !ok {
			return
		}
		now = arrived
	}
}
