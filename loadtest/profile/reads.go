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
	// readConnections are those of each kind of reading.
	readConnections = 2
)

// Reads measures pages, single events and the counts, while nothing else goes
// on and while the server ingests as fast as it can.
func Reads(ctx context.Context, o ReadsOptions) (*result.Result, error) {
	return run(ctx, "reads", "reading, idle and under full ingest", o.Options, func(ctx context.Context, s *session) error {
		return s.reads(ctx, o)
	})
}

func (s *session) reads(ctx context.Context, o ReadsOptions) error {
	l := load{o.Connections, o.Batch, o.Topics}
	known, err := s.existing(ctx, l, o.Events)
	if err != nil {
		return err
	}
	stats, err := s.client.Stats(ctx)
	if err != nil {
		return fmt.Errorf("read the server's counts: %w", err)
	}
	s.option("stored", result.FormatCount(stats.UniqueProcessed)+" events")
	s.option("reading", fmt.Sprintf("%g requests/s of each kind, open loop, %s", o.Rate, o.Duration))
	s.option("ingest", l)
	s.option("seed", s.Seed)

	x := s.stream(l, generator.Repeats{}, generator.SendAgain)
	idle, err := s.read(ctx, "read", known, stats.UniqueProcessed, o)
	if err != nil {
		return err
	}
	before, err := s.publish(ctx, "ingest", x, o.Duration/2)
	if err != nil {
		return err
	}
	busy, ingest, err := s.readUnderIngest(ctx, x, known, stats.UniqueProcessed, o)
	if err != nil {
		return err
	}
	after, err := s.publish(ctx, "ingest", x, o.Duration/2)
	if err != nil {
		return err
	}
	before.Add(after)
	s.readGoals(idle, busy)
	s.figure("ingest without readers", before.EventsPerSecond(), "events/s")
	s.figure("ingest with readers", ingest.EventsPerSecond(), "events/s")
	s.figure("ingest with readers / without", ingest.EventsPerSecond()/before.EventsPerSecond(), "")
	for i, k := range readKinds {
		s.latency(k.name+", idle", idle[i])
		s.latency(k.name+", under ingest", busy[i])
		s.unsentProblem(k.name, idle[i].Unsent+busy[i].Unsent)
	}
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

// read runs all kinds of reading at once, each by a schedule of its own.
func (s *session) read(ctx context.Context, phase string, known []generator.Known, total int64, o ReadsOptions) ([]*generator.Measurement, error) {
	shown := s.Display.Time(phase, o.Duration)
	defer shown.Finish()
	measured, failed := make([]*generator.Measurement, len(readKinds)), make([]error, len(readKinds))
	var group sync.WaitGroup
	for i, k := range readKinds {
		scripts := make([]generator.Script, readConnections)
		for c := range scripts {
			r := &reader{known: known, total: total, rng: rand.New(rand.NewPCG(s.Seed, uint64(i*readConnections+c)))}
			scripts[c] = r.script(s.target, k)
		}
		group.Go(func() { measured[i], failed[i] = s.readKind(ctx, scripts, o) })
	}
	group.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	for _, m := range measured {
		if err := s.note(nil, m); err != nil {
			return nil, err
		}
	}
	return measured, nil
}

func (s *session) readKind(ctx context.Context, scripts []generator.Script, o ReadsOptions) (*generator.Measurement, error) {
	pool, err := generator.Dial(ctx, s.target, len(scripts))
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	return generator.Open(ctx, pool, scripts, generator.Schedule{PerSecond: o.Rate, MaxBacklog: o.Duration}, generator.Limits{Duration: o.Duration}), nil
}

// readUnderIngest reads while a stream is published, closed loop.
func (s *session) readUnderIngest(ctx context.Context, x *sent, known []generator.Known, total int64, o ReadsOptions) (
	busy []*generator.Measurement, ingest *generator.Measurement, err error,
) {
	stop, err := s.background(ctx, x)
	if err != nil {
		return nil, nil, err
	}
	busy, err = s.read(ctx, "read under ingest", known, total, o)
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

func (s *session) readGoals(idle, busy []*generator.Measurement) {
	for _, g := range []struct {
		name   string
		m      *generator.Measurement
		target time.Duration
	}{
		{readKinds[pageKind].name + ", p99", idle[pageKind], readsPage},
		{readKinds[pageKind].name + " under full ingest, p99", busy[pageKind], readsPage},
		{readKinds[statsKind].name + " under full ingest, p99", busy[statsKind], readsStats},
	} {
		s.goal(result.Goal{Name: g.name, Figure: ms(g.m.P99()), Unit: "ms", Target: ms(g.target), AtMost: true})
	}
}
