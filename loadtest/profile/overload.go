package profile

import (
	"context"
	"fmt"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/proc"
	"sekali/loadtest/result"
)

// OverloadOptions are the settings of Overload.
type OverloadOptions struct {
	Options
	Batch, Topics   int
	Connections     int           // while the peak is measured, closed loop
	OpenConnections int           // for the overload
	Multiple        float64       // of the peak that is offered
	Duration        time.Duration // of the peak and of the overload
}

// The goals of performance.md for a server that gets too much. "Flat" is taken
// as at most half as much again as under the peak.
const (
	overloadGoodput = 0.8
	overloadRefusal = 50 * time.Millisecond
	overloadRSS     = 1.5
)

// Overload offers a multiple of what the server can take and measures what it
// still gets done and how it refuses the rest.
func Overload(ctx context.Context, o OverloadOptions) (*result.Result, error) {
	return run(ctx, "overload", "more than it can take", o.Options, func(ctx context.Context, s *session) error {
		return s.overload(ctx, o)
	})
}

func (s *session) overload(ctx context.Context, o OverloadOptions) error {
	atPeak, over := load{o.Connections, o.Batch, o.Topics}, load{o.OpenConnections, o.Batch, o.Topics}
	s.option("peak", fmt.Sprintf("%s, closed loop, %s", atPeak, o.Duration))
	s.option("overload", fmt.Sprintf("%s, open loop at %g times the peak, %s", over, o.Multiple, o.Duration))
	s.option("seed", s.Seed)
	watched := s.watch()
	peak, err := s.publish(ctx, "peak", s.stream(atPeak, generator.Repeats{}, generator.SendAgain), o.Duration)
	before := watched.stop()
	if err != nil {
		return err
	}
	watched = s.watch()
	m, err := s.flood(ctx, s.stream(over, generator.Repeats{}, generator.LeaveOut), o, peak.RequestsPerSecond()*o.Multiple)
	during := watched.stop()
	if err != nil {
		return err
	}
	s.overloadGoals(peak, m, before, during)
	s.overloadFigures(peak, m, o.Multiple)
	s.usageFigures(during)
	s.latency("peak: request", peak)
	s.latency("overload: taken, from the planned time", m)
	s.result.Latencies = append(s.result.Latencies, result.LatencyOf("overload: refused, from the sending", m.Refusals))
	s.result.Charts = append(s.result.Charts, overloadChart(m, o.Batch))
	if during.known {
		s.result.Charts = append(s.result.Charts, memoryChart(during.server))
	}
	return nil
}

func (s *session) flood(ctx context.Context, x *sent, o OverloadOptions, perSecond float64) (*generator.Measurement, error) {
	pool, err := generator.Dial(ctx, s.target, o.OpenConnections)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	shown := s.Display.Time("overload", o.Duration)
	defer shown.Finish()
	m := generator.Open(ctx, pool, x.scripts, generator.Schedule{PerSecond: perSecond},
		generator.Limits{Duration: o.Duration, Slice: sliceOf(2 * o.Duration), OnEvents: shown.Add})
	return m, s.note(x, m)
}

func (s *session) overloadGoals(peak, m *generator.Measurement, before, during used) {
	s.goal(result.Goal{
		Name: "goodput under overload / peak", Figure: m.EventsPerSecond() / peak.EventsPerSecond(), Target: overloadGoodput,
		Base: fmt.Sprintf("peak: %s events/s, under overload: %s", result.FormatNumber(peak.EventsPerSecond()), result.FormatNumber(m.EventsPerSecond())),
	})
	if m.Refused > 0 {
		s.goal(result.Goal{Name: "refusal answered, p99", Figure: ms(generator.Percentile(m.Refusals, 99)), Unit: "ms", Target: ms(overloadRefusal), AtMost: true})
	} else {
		s.remark("The server refused nothing: what the generator could offer did not fill it.")
	}
	if before.known && during.known {
		s.goal(result.Goal{
			Name: "memory under overload / at the peak", Figure: during.rssMB() / before.rssMB(), Target: overloadRSS, AtMost: true,
			Base: fmt.Sprintf("at the peak: %s MB, under overload: %s MB", result.FormatNumber(before.rssMB()), result.FormatNumber(during.rssMB())),
		})
	}
}

func (s *session) overloadFigures(peak, m *generator.Measurement, multiple float64) {
	offered := m.OfferedPerSecond() / peak.RequestsPerSecond()
	s.figure("offered / peak, planned", multiple, "")
	s.figure("offered / peak, really sent", offered, "")
	s.figure("requests sent", m.OfferedPerSecond(), "requests/s")
	s.figure("requests refused", float64(m.Refused)/float64(max(m.Requests, 1))*100, "%")
	s.figure("requests planned and never sent", float64(m.Unsent), "")
	s.figure("longest stall: no answer for", ms(m.Stall), "ms")
	if offered < 0.9*multiple {
		s.remark("The generator could send %.2g times the peak, not %g: it shares the cores with the server, and each connection waits for its answer. What had waited for 1 s was dropped.", offered, multiple)
	}
}

// overloadChart draws what was taken and what was refused over time.
func overloadChart(m *generator.Measurement, batch int) result.Chart {
	c := timeline("Under overload", m)
	c.Lines[1].Name = "p99 of what was taken, ms"
	refused := result.Line{Name: "refused events/s"}
	for i := range c.X {
		refused.Y = append(refused.Y, float64(m.Slices[i].Refused*int64(batch))/m.SliceWidth.Seconds())
	}
	c.Lines = append(c.Lines, refused)
	return c
}

func memoryChart(samples proc.Samples) result.Chart {
	c := result.Chart{Title: "Memory of the server under overload", XLabel: "s", YLabel: "MB", Lines: []result.Line{{Name: "resident"}}}
	for _, sample := range samples.List {
		c.X = append(c.X, sample.At.Seconds())
		c.Lines[0].Y = append(c.Lines[0].Y, float64(sample.RSS)/bytesPerMB)
	}
	return c
}
