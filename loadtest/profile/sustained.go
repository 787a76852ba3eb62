package profile

import (
	"context"
	"fmt"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// SustainedOptions are the settings of Sustained.
type SustainedOptions struct {
	Options
	Connections, Batch, Topics int
	Duplicates                 float64       // share of the events that repeat one of this run, 0 to 1
	Duration                   time.Duration // of the load
	CeilingRows                int           // of each raw append
}

// The goals of performance.md for batches.
const (
	sustainedRate  = 100_000
	sustainedShare = 0.35
	echoTime       = 3 * time.Second // at most
)

// Sustained measures how many events a second the server takes in batches, and
// which part that is of what SQLite appends with nothing to check.
func Sustained(ctx context.Context, o SustainedOptions) (*result.Result, error) {
	return run(ctx, "sustained", "batches at full speed", o.Options, func(ctx context.Context, s *session) error {
		return s.sustained(ctx, o)
	})
}

func (s *session) sustained(ctx context.Context, o SustainedOptions) (err error) {
	l := load{o.Connections, o.Batch, o.Topics}
	s.option("load", l)
	s.option("duplicates", fmt.Sprintf("%g %%", 100*o.Duplicates))
	s.option("duration", o.Duration)
	s.option("seed", s.Seed)
	var c ceilings
	if c.before, err = s.rawAppend(ctx, o.CeilingRows); err != nil {
		return err
	}
	watched := s.watch()
	m, err := s.publish(ctx, "publish", s.stream(l, generator.Repeats{Share: o.Duplicates}, generator.SendAgain), o.Duration)
	used := watched.stop()
	if err != nil {
		return err
	}
	if c.after, err = s.rawAppend(ctx, o.CeilingRows); err != nil {
		return err
	}
	echo, err := s.echoClosed(ctx, l, min(o.Duration, echoTime))
	if err != nil {
		return err
	}
	s.goal(result.Goal{Name: fmt.Sprintf("events in batches of %d", o.Batch), Figure: m.EventsPerSecond(), Unit: "events/s", Target: sustainedRate})
	s.goal(result.Goal{Name: "rate / raw append", Figure: m.EventsPerSecond() / c.mean(), Target: sustainedShare, Base: c.String()})
	s.speedFigures(m)
	s.capacityFigures(m, echo)
	s.usageFigures(used)
	s.latency("request", m)
	s.result.Charts = append(s.result.Charts, timeline("Rate and latency", m))
	return s.diskFigure(ctx)
}

// speedFigures are those of any full load.
func (s *session) speedFigures(m *generator.Measurement) {
	s.figure("requests", m.RequestsPerSecond(), "requests/s")
	s.figure("stored", float64(m.Stored)/m.Elapsed.Seconds(), "events/s")
	s.figure("longest stall: no answer for", ms(m.Stall), "ms")
	if m.Refused > 0 {
		s.figure("refused and sent again", float64(m.Refused), "requests")
	}
}
