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

// reading is what is read in each phase, on connections that stay open.
type reading struct {
	o     ReadsOptions
	known []generator.Known
	total int64 // events stored at the start
	kinds []kindReaders
	echo  *echo // is sent single events at the same rate
}

// kindReaders read one kind of thing.
type kindReaders struct {
	pool    *generator.Pool
	scripts []generator.Script
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
	defer r.close()
	if err := s.openReaders(ctx, r); err != nil {
		return err
	}
	return s.readPhases(ctx, r, s.stream(l, generator.Repeats{}, generator.SendAgain))
}

// readPhases reads while nothing else goes on and under ingest, with the ingest
// by itself before and after.
func (s *session) readPhases(ctx context.Context, r *reading, x *sent) error {
	if _, err := s.read(ctx, "warm up", r, r.o.Duration/warmUpPart); err != nil {
		return err
	}
	idle, err := s.read(ctx, "read", r, r.o.Duration)
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

// openReaders connects the readers of each kind.
func (s *session) openReaders(ctx context.Context, r *reading) error {
	for kind := range readKinds {
		pool, err := generator.Dial(ctx, s.target, readConnections)
		if err != nil {
			return err
		}
		k := kindReaders{pool: pool}
		for i := range readConnections {
			one := &reader{known: r.known, total: r.total, rng: rand.New(rand.NewPCG(s.Seed, uint64(kind*readConnections+i)))}
			k.scripts = append(k.scripts, one.script(s.target, readKinds[kind]))
		}
		r.kinds = append(r.kinds, k)
	}
	return nil
}

func (r *reading) close() {
	for _, k := range r.kinds {
		k.pool.Close()
	}
}

// read runs all kinds of reading at once, each by a schedule of its own, and the
// echo beside them.
func (s *session) read(ctx context.Context, phase string, r *reading, d time.Duration) (*seen, error) {
	shown := s.Display.Time(phase, d)
	defer shown.Finish()
	trickle := func(k kindReaders) *generator.Measurement {
		return generator.Open(ctx, k.pool, k.scripts, generator.Schedule{PerSecond: r.o.Rate, MaxBacklog: d}, generator.Limits{Duration: d})
	}
	v := &seen{kinds: make([]*generator.Measurement, len(r.kinds))}
	var group sync.WaitGroup
	group.Go(func() { v.echo = trickle(kindReaders{r.echo.pool, r.echo.scripts}) })
	for i, k := range r.kinds {
		group.Go(func() { v.kinds[i] = trickle(k) })
	}
	group.Wait()
	for _, m := range append(v.kinds, v.echo) {
		if err := s.note(nil, m); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// readUnderIngest reads while a stream is published, closed loop.
func (s *session) readUnderIngest(ctx context.Context, r *reading, x *sent) (busy *seen, ingest *generator.Measurement, err error) {
	stop, err := s.background(ctx, x)
	if err != nil {
		return nil, nil, err
	}
	busy, err = s.read(ctx, "read under ingest", r, r.o.Duration)
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
