package profile

import (
	"context"
	"fmt"
	"math"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// GrowthOptions are the settings of Growth.
type GrowthOptions struct {
	Options
	Connections, Batch, Topics int
	Events                     int64         // to store
	Repeats                    time.Duration // for each kind of load after the fill
	CeilingRows                int           // of each raw append
}

// The goals of performance.md for a server that fills.
const (
	growthShare   = 0.95
	growthRSS     = 256 // MB
	anywhereShare = 0.5
	recentShare   = 1.0
)

// growthStep is the number of events after which the rate is taken; a small
// fill is cut into growthSteps.
const (
	growthStep  = 1_000_000
	growthSteps = 10
)

// Growth stores events until there are many and measures whether the server
// gets slower or larger, and how fast it then recognizes repeats.
func Growth(ctx context.Context, o GrowthOptions) (*result.Result, error) {
	return run(ctx, "growth", "speed as it fills", o.Options, func(ctx context.Context, s *session) error {
		return s.growth(ctx, o)
	})
}

// step is a part of the fill.
type step struct {
	m      *generator.Measurement
	used   used
	stored int64   // behind it
	disk   float64 // bytes per event, not a number when it is not known
}

func (s *session) growth(ctx context.Context, o GrowthOptions) (err error) {
	l := load{o.Connections, o.Batch, o.Topics}
	s.option("events", result.FormatCount(o.Events))
	s.option("load", l)
	s.option("repeats", fmt.Sprintf("%s of each kind, in turns", o.Repeats))
	s.option("seed", s.Seed)
	known, err := s.known(ctx)
	if err != nil {
		return err
	}
	if s.before.UniqueProcessed > 0 {
		s.remark("The server held %s events at the start; %s of them could be repeated.",
			result.FormatCount(s.before.UniqueProcessed), result.FormatCount(int64(countKnown(known))))
	}
	var c ceilings
	if c.before, err = s.rawAppend(ctx, o.CeilingRows); err != nil {
		return err
	}
	x := s.stream(l, generator.Repeats{}, generator.SendAgain)
	steps, err := s.fill(ctx, x, o.Events)
	if err != nil {
		return err
	}
	if c.after, err = s.rawAppend(ctx, o.CeilingRows); err != nil {
		return err
	}
	s.growthGoals(steps, c)
	s.growthTable(steps)
	known = append(known, generator.Known{Run: x.stream.Run(), Count: x.stream.Sent()})
	return s.repeats(ctx, l, known, o.Repeats)
}

// fill stores events in steps, each of which is measured by itself.
func (s *session) fill(ctx context.Context, x *sent, events int64) (steps []step, err error) {
	batch := int64(x.stream.Batch())
	requests := (events + batch - 1) / batch
	perStep := max(1, min(growthStep/batch, (requests+growthSteps-1)/growthSteps))
	pool, err := generator.Dial(ctx, s.target, x.stream.Publishers())
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	shown := s.Display.Events("fill", events)
	defer shown.Finish()
	for requests > 0 {
		n := min(perStep, requests)
		requests -= n
		x.stream.Allow(n)
		watched := s.watch()
		m := generator.Closed(ctx, pool, x.scripts, generator.Limits{OnEvents: shown.Add})
		st := step{m: m, used: watched.stop(), disk: math.NaN()}
		if err := s.note(x, m); err != nil {
			return nil, err
		}
		st.stored = s.before.UniqueProcessed + x.stored
		if s.server != nil {
			if st.disk, err = s.diskPerEvent(st.stored); err != nil {
				return nil, err
			}
		}
		steps = append(steps, st)
	}
	x.stream.Unbounded()
	return steps, nil
}

func (s *session) growthGoals(steps []step, c ceilings) {
	first, last := steps[min(1, len(steps)-1)], steps[len(steps)-1]
	size := result.FormatCount(first.m.Stored)
	s.goal(result.Goal{
		Name:   fmt.Sprintf("rate of the last %s / of the second", size),
		Figure: last.m.EventsPerSecond() / first.m.EventsPerSecond(), Target: growthShare,
		Base: fmt.Sprintf("%s, then %s events/s; %s", result.FormatNumber(first.m.EventsPerSecond()), result.FormatNumber(last.m.EventsPerSecond()), c),
	})
	var total generator.Measurement
	stall, rss := time.Duration(0), 0.0
	for _, st := range steps {
		total.Elapsed += st.m.Elapsed
		total.Stored += st.m.Stored
		stall = max(stall, st.m.Stall)
		rss = max(rss, st.used.rssMB())
	}
	if last.used.known {
		s.goal(result.Goal{Name: "memory while it filled, most", Figure: rss, Unit: "MB", Target: growthRSS, AtMost: true})
		s.figure("disk per event", last.disk, "bytes")
	}
	s.figure("whole fill", total.EventsPerSecond(), "events/s")
	s.figure("longest stall: no answer for", ms(stall), "ms")
}

func (s *session) growthTable(steps []step) {
	t := result.Table{Title: "As it filled", Columns: []string{"stored", "events/s", "p99 ms", "max ms", "stall ms", "RSS MB", "disk B/event"}}
	rate := result.Chart{Title: "Rate and memory as it filled", XLabel: "events stored, millions", YLabel: "events/s", Lines: []result.Line{
		{Name: "events/s"}, {Name: "memory, MB", RightAxis: true},
	}}
	slow := result.Chart{Title: "The slowest answers as it filled", XLabel: "events stored, millions", YLabel: "ms", Lines: []result.Line{
		{Name: "p99"}, {Name: "slowest answer"}, {Name: "longest stall"},
	}}
	for _, st := range steps {
		worst := time.Duration(st.m.Latency.Max()) * time.Microsecond
		t.Rows = append(t.Rows, []string{
			result.FormatCount(st.stored), result.FormatNumber(st.m.EventsPerSecond()), result.FormatNumber(ms(st.m.P99())),
			result.FormatNumber(ms(worst)), result.FormatNumber(ms(st.m.Stall)), result.FormatNumber(st.used.rssMB()), result.FormatNumber(st.disk),
		})
		x := float64(st.stored) / 1e6
		rate.X, slow.X = append(rate.X, x), append(slow.X, x)
		for i, y := range []float64{st.m.EventsPerSecond(), st.used.rssMB()} {
			rate.Lines[i].Y = append(rate.Lines[i].Y, y)
		}
		for i, y := range []float64{ms(st.m.P99()), ms(worst), ms(st.m.Stall)} {
			slow.Lines[i].Y = append(slow.Lines[i].Y, y)
		}
	}
	s.result.Tables = append(s.result.Tables, t)
	s.result.Charts = append(s.result.Charts, rate, slow)
}
