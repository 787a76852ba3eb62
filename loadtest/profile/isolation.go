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

// quietTopic is the quiet topic and the echo that gets the same, on connections
// that stay open.
type quietTopic struct {
	o    IsolationOptions
	x    *sent
	pool *generator.Pool
	echo *echo
}

// round is the quiet topic alone and beside the flood, and an echo beside the
// flood that gets the same.
type round struct{ alone, beside, echo, flood *generator.Measurement }

func (s *session) isolation(ctx context.Context, o IsolationOptions) (err error) {
	s.option("quiet topic", fmt.Sprintf("%g single events/s, open loop", o.Rate))
	s.option("flood", fmt.Sprintf("batches of %d, %d connections, 1 topic, closed loop", o.Batch, o.Connections))
	s.option("rounds", fmt.Sprintf("%d of %s alone and %s beside the flood", o.Rounds, o.Duration, o.Duration))
	s.option("seed", s.Seed)
	q := &quietTopic{o: o, x: s.stream(quietLoad, generator.Repeats{}, generator.SendAgain)}
	if q.echo, err = s.startEcho(ctx, quietLoad); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.echo.stop()) }()
	if q.pool, err = generator.Dial(ctx, s.target, quietLoad.connections); err != nil {
		return err
	}
	defer q.pool.Close()
	if _, err := s.quiet(ctx, "warm up", q, o.Duration/warmUpPart); err != nil {
		return err
	}
	flood := s.stream(load{o.Connections, o.Batch, 1}, generator.Repeats{}, generator.SendAgain)
	var rounds []round
	for i := range o.Rounds {
		var r round
		if r.alone, err = s.quiet(ctx, fmt.Sprintf("round %d: quiet", i+1), q, o.Duration); err != nil {
			return err
		}
		if err := s.beside(ctx, fmt.Sprintf("round %d: flood", i+1), &r, q, flood); err != nil {
			return err
		}
		rounds = append(rounds, r)
	}
	s.isolationResult(rounds)
	return nil
}

// quiet sends to the quiet topic by its schedule.
func (s *session) quiet(ctx context.Context, phase string, q *quietTopic, d time.Duration) (*generator.Measurement, error) {
	m := s.trickle(ctx, phase, q.pool, q.x.scripts, q.o.Rate, d)
	return m, s.note(q.x, m)
}

// warmUpPart is the part of a phase that is sent before the first one, so that
// none of them meets connections and a server that are cold.
const warmUpPart = 5

// trickle runs scripts at a modest rate, by a schedule.
func (s *session) trickle(ctx context.Context, phase string, pool *generator.Pool, scripts []generator.Script, rate float64, d time.Duration) *generator.Measurement {
	shown := s.Display.Time(phase, d)
	defer shown.Finish()
	return generator.Open(ctx, pool, scripts, generator.Schedule{PerSecond: rate, MaxBacklog: d},
		generator.Limits{Duration: d, OnEvents: shown.Add})
}

// beside measures the quiet topic while the flood is on, and then an echo.
func (s *session) beside(ctx context.Context, phase string, r *round, q *quietTopic, flood *sent) error {
	stop, err := s.background(ctx, flood)
	if err != nil {
		return err
	}
	if r.beside, err = s.quiet(ctx, phase, q, q.o.Duration); err == nil {
		r.echo = s.trickle(ctx, phase+", echo", q.echo.pool, q.echo.scripts, q.o.Rate, q.o.Duration)
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
