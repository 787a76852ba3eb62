package profile

import (
	"context"
	"fmt"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// SinglesOptions are the settings of Singles.
type SinglesOptions struct {
	Options
	Connections, Topics int
	Duplicates          float64       // as in SustainedOptions
	Duration            time.Duration // of the load
	EchoDuration        time.Duration // of each of the two runs of the echo
}

// The goals of performance.md for single events.
const (
	singlesShare = 0.5
	singlesP99   = 10 * time.Millisecond
)

// Singles measures how many single events a second the server takes, and which
// part that is of the requests that a bare fasthttp echo answers.
func Singles(ctx context.Context, o SinglesOptions) (*result.Result, error) {
	return run(ctx, "singles", "single events at full speed", o.Options, func(ctx context.Context, s *session) error {
		return s.singles(ctx, o)
	})
}

func (s *session) singles(ctx context.Context, o SinglesOptions) error {
	l := load{o.Connections, 1, o.Topics}
	s.option("load", l)
	s.option("duplicates", fmt.Sprintf("%g %%", 100*o.Duplicates))
	s.option("duration", o.Duration)
	s.option("seed", s.Seed)
	echo, err := s.echoClosed(ctx, l, o.EchoDuration)
	if err != nil {
		return err
	}
	watched := s.watch()
	m, err := s.publish(ctx, "publish", s.stream(l, generator.Repeats{Share: o.Duplicates}, generator.SendAgain), o.Duration)
	used := watched.stop()
	if err != nil {
		return err
	}
	echoAfter, err := s.echoClosed(ctx, l, o.EchoDuration)
	if err != nil {
		return err
	}
	base := (echo.RequestsPerSecond() + echoAfter.RequestsPerSecond()) / 2
	s.goal(result.Goal{
		Name: "single events / fasthttp echo", Figure: m.RequestsPerSecond() / base, Target: singlesShare,
		Base: fmt.Sprintf("echo: %s requests/s before, %s after", result.FormatNumber(echo.RequestsPerSecond()), result.FormatNumber(echoAfter.RequestsPerSecond())),
	})
	s.goal(result.Goal{Name: "single event, p99", Figure: ms(m.P99()), Unit: "ms", Target: ms(singlesP99), AtMost: true})
	s.speedFigures(m)
	echo.Add(echoAfter)
	s.capacityFigures(m, echo)
	s.usageFigures(used)
	s.latency("single event", m)
	s.latency("echo", echo)
	s.result.Charts = append(s.result.Charts, timeline("Rate and latency", m))
	return nil
}
