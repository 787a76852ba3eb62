package profile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// ReadsOptions are the settings of Reads.
type ReadsOptions struct {
	Options
	Events                     int64 // to store first, when the server holds none
	Connections, Batch, Topics int   // of what is ingested
	Rate                       float64
	Duration                   time.Duration // of each phase
}

// The goals of performance.md for reading.
const (
	readsPage  = 5 * time.Millisecond
	readsStats = 2 * time.Millisecond
	// readConnections are those of each kind of reading: enough to send in time
	// while some answers are slow.
	readConnections = 16
)

// Reads measures pages, single events and the counts, while nothing else goes
// on and while the server ingests as fast as it can.
func Reads(ctx context.Context, o ReadsOptions) (*result.Result, error) {
	return run(ctx, "reads", "reading, idle and under full ingest", o.Options, func(ctx context.Context, s *session) error {
		return s.reads(ctx, o)
	})
}

// reading is what is read in each phase.
type reading struct {
	o     ReadsOptions
	known []generator.Known
	total int64 // events stored at the start
	echo  *echo // is sent single events at the same rate
}

// seen is what one phase measured.
type seen struct {
	kinds []*generator.Measurement // as readKinds
	echo  *generator.Measurement
}

func (s *session) reads(ctx context.Context, o ReadsOptions) (err error) {
	l := load{o.Connections, o.Batch, o.Topics}
	r := &reading{o: o}
	if r.known, err = s.existing(ctx, l, o.Events); err != nil {
		return err
	}
	stats, err := s.client.Stats(ctx)
	if err != nil {
		return fmt.Errorf("read the server's counts: %w", err)
	}
	r.total = stats.UniqueProcessed
	s.option("stored", result.FormatCount(r.total)+" events")
	s.option("reading", fmt.Sprintf("%g requests/s of each kind, open loop, %s", o.Rate, o.Duration))
	s.option("ingest", l)
	s.option("seed", s.Seed)
	if r.echo, err = s.startEcho(ctx, load{readConnections, 1, 1}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.echo.stop()) }()
	return s.readPhases(ctx, r, s.stream(l, generator.Repeats{}, generator.SendAgain))
}

// readPhases reads while nothing else goes on and under ingest, with the ingest
// by itself before and after.
func (s *session) readPhases(ctx context.Context, r *reading, x *sent) error {
	idle, err := s.read(ctx, "read", r)
	if err != nil {
		return err
	}
	alone, err := s.publish(ctx, "ingest", x, r.o.Duration/2)
	if err != nil {
		return err
	}
	busy, ingest, err := s.readUnderIngest(ctx, r, x)
	if err != nil {
		return err
	}
	after, err := s.publish(ctx, "ingest", x, r.o.Duration/2)
	if err != nil {
		return err
	}
	alone.Add(after)
	s.readGoals(idle, busy)
	s.figure("ingest without readers", alone.EventsPerSecond(), "events/s")
	s.figure("ingest with readers", ingest.EventsPerSecond(), "events/s")
	s.figure("ingest with readers / without", ingest.EventsPerSecond()/alone.EventsPerSecond(), "")
	for i, k := range readKinds {
		s.latency(k.name+", idle", idle.kinds[i])
		s.latency(k.name+", under ingest", busy.kinds[i])
		s.remarkUnsent(k.name, idle.kinds[i].Unsent+busy.kinds[i].Unsent)
	}
	s.floorFigure("the ingest", busy.echo)
	return nil
}

// existing names the events that are there, and stores some when there are
// none.
func (s *session) existing(ctx context.Context, l load, events int64) ([]generator.Known, error) {
	known, err := s.known(ctx)
	if err != nil || countKnown(known) > 0 {
		return known, err
	}
	if s.before.UniqueProcessed > 0 {
		return nil, errors.New("the server holds events, but none that a load test stored; use another data directory")
	}
	x := s.stream(l, generator.Repeats{}, generator.SendAgain)
	if _, err := s.fill(ctx, x, events); err != nil {
		return nil, err
	}
	return []generator.Known{{Run: x.stream.Run(), Count: x.stream.Sent()}}, nil
}

// read runs all kinds of reading at once, each by a schedule of its own, and the
// echo beside them.
func (s *session) read(ctx context.Context, phase string, r *reading) (*seen, error) {
	shown := s.Display.Time(phase, r.o.Duration)
	defer shown.Finish()
	v := &seen{kinds: make([]*generator.Measurement, len(readKinds))}
	failed := make([]error, len(readKinds))
	var group sync.WaitGroup
	group.Go(func() { v.echo = r.trickle(ctx, r.echo.pool, r.echo.scripts) })
	for i := range readKinds {
		group.Go(func() { v.kinds[i], failed[i] = s.readKind(ctx, r, i) })
	}
	group.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	for _, m := range append(v.kinds, v.echo) {
		if err := s.note(nil, m); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (s *session) readKind(ctx context.Context, r *reading, kind int) (*generator.Measurement, error) {
	pool, err := generator.Dial(ctx, s.target, readConnections)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	scripts := make([]generator.Script, readConnections)
	for i := range scripts {
		one := &reader{known: r.known, total: r.total, rng: rand.New(rand.NewPCG(s.Seed, uint64(kind*readConnections+i)))}
		scripts[i] = one.script(s.target, readKinds[kind])
	}
	return r.trickle(ctx, pool, scripts), nil
}

func (r *reading) trickle(ctx context.Context, pool *generator.Pool, scripts []generator.Script) *generator.Measurement {
	return generator.Open(ctx, pool, scripts, generator.Schedule{PerSecond: r.o.Rate, MaxBacklog: r.o.Duration}, generator.Limits{Duration: r.o.Duration})
}

// readUnderIngest reads while a stream is published, closed loop.
func (s *session) readUnderIngest(ctx context.Context, r *reading, x *sent) (busy *seen, ingest *generator.Measurement, err error) {
	stop, err := s.background(ctx, x)
	if err != nil {
		return nil, nil, err
	}
	busy, err = s.read(ctx, "read under ingest", r)
	ingest, ingestErr := stop()
	if err == nil {
		err = ingestErr
	}
	return busy, ingest, err
}

// background publishes a stream, closed loop, until stop is called. It returns
// when the first answer has arrived.
func (s *session) background(ctx context.Context, x *sent) (stop func() (*generator.Measurement, error), err error) {
	pool, err := generator.Dial(ctx, s.target, x.stream.Publishers())
	if err != nil {
		return nil, err
	}
	x.stream.Unbounded()
	begun := make(chan struct{})
	signal := sync.OnceFunc(func() { close(begun) })
	var m *generator.Measurement
	var group sync.WaitGroup
	group.Go(func() {
		defer signal() // It may end without an answer.
		m = generator.Closed(ctx, pool, x.scripts, generator.Limits{OnEvents: func(int) { signal() }})
	})
	<-begun
	return func() (*generator.Measurement, error) {
		x.stream.Allow(0)
		group.Wait()
		x.stream.Unbounded()
		pool.Close()
		return m, s.note(x, m)
	}, nil
}

func (s *session) readGoals(idle, busy *seen) {
	for _, g := range []struct {
		name   string
		m      *generator.Measurement
		target time.Duration
	}{
		{readKinds[pageKind].name + ", p99", idle.kinds[pageKind], readsPage},
		{readKinds[pageKind].name + " under full ingest, p99", busy.kinds[pageKind], readsPage},
		{readKinds[statsKind].name + " under full ingest, p99", busy.kinds[statsKind], readsStats},
	} {
		s.goal(result.Goal{Name: g.name, Figure: ms(g.m.P99()), Unit: "ms", Target: ms(g.target), AtMost: true})
	}
}
