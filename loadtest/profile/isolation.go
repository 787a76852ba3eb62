package profile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// IsolationOptions are the settings of Isolation.
type IsolationOptions struct {
	Options
	Connections, Batch int           // of the flood
	Rate               float64       // single events per second to the quiet topic
	Rounds             int           // of quiet and flood
	Duration           time.Duration // of each half of a round
}

const isolationRatio = 2 // the goal of performance.md

// quietLoad has enough connections for the quiet topic to be sent to in time
// while some of its answers are slow.
var quietLoad = load{connections: 64, batch: 1, topics: 1}

// Isolation measures how slow a quiet topic becomes while another floods.
func Isolation(ctx context.Context, o IsolationOptions) (*result.Result, error) {
	return run(ctx, "isolation", "a quiet topic beside a noisy one", o.Options, func(ctx context.Context, s *session) error {
		return s.isolation(ctx, o)
	})
}

// round is the quiet topic alone and beside the flood, and an echo beside the
// flood that gets the same.
type round struct{ alone, beside, echo, flood *generator.Measurement }

func (s *session) isolation(ctx context.Context, o IsolationOptions) (err error) {
	s.option("quiet topic", fmt.Sprintf("%g single events/s, open loop", o.Rate))
	s.option("flood", fmt.Sprintf("batches of %d, %d connections, 1 topic, closed loop", o.Batch, o.Connections))
	s.option("rounds", fmt.Sprintf("%d of %s alone and %s beside the flood", o.Rounds, o.Duration, o.Duration))
	s.option("seed", s.Seed)
	e, err := s.startEcho(ctx, quietLoad)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	quiet := s.stream(quietLoad, generator.Repeats{}, generator.SendAgain)
	flood := s.stream(load{o.Connections, o.Batch, 1}, generator.Repeats{}, generator.SendAgain)
	var rounds []round
	for i := range o.Rounds {
		var r round
		if r.alone, err = s.quiet(ctx, fmt.Sprintf("round %d: quiet", i+1), quiet, o); err != nil {
			return err
		}
		if err := s.beside(ctx, fmt.Sprintf("round %d: flood", i+1), &r, quiet, flood, e, o); err != nil {
			return err
		}
		rounds = append(rounds, r)
	}
	s.isolationResult(rounds)
	return nil
}

// quiet sends to the quiet topic by its schedule.
func (s *session) quiet(ctx context.Context, phase string, x *sent, o IsolationOptions) (*generator.Measurement, error) {
	pool, err := generator.Dial(ctx, s.target, x.stream.Publishers())
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	m := s.trickle(ctx, phase, pool, x.scripts, o)
	return m, s.note(x, m)
}

// trickle runs scripts by the schedule of the quiet topic.
func (s *session) trickle(ctx context.Context, phase string, pool *generator.Pool, scripts []generator.Script, o IsolationOptions) *generator.Measurement {
	shown := s.Display.Time(phase, o.Duration)
	defer shown.Finish()
	return generator.Open(ctx, pool, scripts, generator.Schedule{PerSecond: o.Rate, MaxBacklog: o.Duration},
		generator.Limits{Duration: o.Duration, OnEvents: shown.Add})
}

// beside measures the quiet topic while the flood is on, and then an echo.
func (s *session) beside(ctx context.Context, phase string, r *round, quiet, flood *sent, e *echo, o IsolationOptions) error {
	stop, err := s.background(ctx, flood)
	if err != nil {
		return err
	}
	if r.beside, err = s.quiet(ctx, phase, quiet, o); err == nil {
		r.echo = s.trickle(ctx, phase+", echo", e.pool, e.scripts, o)
		err = s.note(nil, r.echo)
	}
	m, floodErr := stop()
	if r.flood = m; err == nil {
		err = floodErr
	}
	return err
}

func (s *session) isolationResult(rounds []round) {
	t := result.Table{Title: "Rounds", Columns: []string{"round", "alone p99 ms", "beside p99 ms", "ratio", "echo p99 ms", "flood events/s"}}
	for i, r := range rounds {
		alone, beside := ms(r.alone.P99()), ms(r.beside.P99())
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(i + 1), result.FormatNumber(alone), result.FormatNumber(beside),
			result.FormatNumber(beside / alone), result.FormatNumber(ms(r.echo.P99())), result.FormatNumber(r.flood.EventsPerSecond()),
		})
	}
	sum := rounds[0]
	for _, r := range rounds[1:] {
		sum.alone.Add(r.alone)
		sum.beside.Add(r.beside)
		sum.echo.Add(r.echo)
		sum.flood.Add(r.flood)
	}
	alone, beside := ms(sum.alone.P99()), ms(sum.beside.P99())
	s.goal(result.Goal{
		Name: "quiet topic, p99 beside a flood / alone", Figure: beside / alone, Target: isolationRatio, AtMost: true,
		Base: fmt.Sprintf("alone: %s ms, beside a flood of %s events/s: %s ms",
			result.FormatNumber(alone), result.FormatNumber(sum.flood.EventsPerSecond()), result.FormatNumber(beside)),
	})
	s.figure("flood", sum.flood.EventsPerSecond(), "events/s")
	s.figure("generator late, p99: alone", ms(generator.Percentile(sum.alone.Late, 99)), "ms")
	s.figure("generator late, p99: beside the flood", ms(generator.Percentile(sum.beside.Late, 99)), "ms")
	s.remarkUnsent("quiet topic", sum.alone.Unsent+sum.beside.Unsent)
	s.latency("quiet topic alone", sum.alone)
	s.latency("quiet topic beside the flood", sum.beside)
	s.floorFigure("the flood", sum.echo)
	s.latency("request of the flood", sum.flood)
	s.result.Tables = append(s.result.Tables, t)
}

// remarkUnsent says that a schedule was not kept.
func (s *session) remarkUnsent(name string, unsent int64) {
	if unsent > 0 {
		s.remark("%s: %d requests of the schedule found no free connection; its latencies would have been higher.", name, unsent)
	}
}
