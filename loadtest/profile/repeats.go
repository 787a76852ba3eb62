package profile

import (
	"context"
	"fmt"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// repeatRounds is how often the kinds of load take turns, so that a machine
// that drifts treats them alike.
const repeatRounds = 2

// MaxRepeats bounds the time of each kind, so that all of the recent repeats
// are of the last minute.
const MaxRepeats = 20 * time.Second

// kind is a kind of load after the fill.
type kind struct {
	name string
	x    *sent
	sum  *generator.Measurement
}

// repeats compares the rate of new events with that of loads in which every
// second event repeats one: from anywhere in all that is stored, or one of the
// last minute.
func (s *session) repeats(ctx context.Context, l load, known []generator.Known, d time.Duration) error {
	kinds := []kind{
		{name: "new events only", x: s.stream(l, generator.Repeats{}, generator.SendAgain)},
		{name: "half repeats, from anywhere", x: s.stream(l, generator.Repeats{Share: 0.5, Of: known}, generator.SendAgain)},
		{name: "half repeats, of the last minute", x: s.stream(l, generator.Repeats{Share: 0.5}, generator.SendAgain)},
	}
	for range repeatRounds {
		for i := range kinds {
			m, err := s.publish(ctx, kinds[i].name, kinds[i].x, d/repeatRounds)
			if err != nil {
				return err
			}
			if kinds[i].sum == nil {
				kinds[i].sum = m
			} else {
				kinds[i].sum.Add(m)
			}
		}
	}
	unique := kinds[0].sum.EventsPerSecond()
	base := fmt.Sprintf("new events only: %s events/s", result.FormatNumber(unique))
	for i, target := range []float64{0, anywhereShare, recentShare} {
		k := kinds[i]
		s.latency("request, "+k.name, k.sum)
		if i == 0 {
			continue
		}
		s.goal(result.Goal{Name: k.name + " / new only", Figure: k.sum.EventsPerSecond() / unique, Target: target, Base: base})
		s.figure(k.name, k.sum.EventsPerSecond(), "events/s")
		s.figure(k.name+": found", float64(k.sum.Duplicates), "duplicates")
	}
	return nil
}
