package contender

import (
	"context"
	"fmt"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

// CheckAnswers compares what a peer has answered with what was sent.
func CheckAnswers(plan *events.Plan, sent int, tally measure.Tally) error {
	distinct := int64(plan.Distinct(sent))
	if tally.Stored != distinct || tally.Duplicates != int64(sent)-distinct {
		return fmt.Errorf("of %d events it said that %d were new and %d duplicates; it was sent %d and %d",
			sent, tally.Stored, tally.Duplicates, distinct, int64(sent)-distinct)
	}
	return nil
}

// CheckHoldings reads everything back: each event of the first sent ones must
// be there once, whole, and nothing else.
func CheckHoldings(ctx context.Context, plan *events.Plan, sent int, held Holdings) error {
	distinct := plan.Distinct(sent)
	count, err := held.Count(ctx)
	if err != nil {
		return fmt.Errorf("count what is stored: %w", err)
	}
	if count != int64(distinct) {
		return fmt.Errorf("it counts %d events; %d different ones were sent", count, distinct)
	}
	seen := make([]bool, distinct)
	found := 0
	err = held.Each(ctx, func(got events.Event) error {
		number, ok := plan.Number(got.ID)
		if !ok || int(number) >= distinct {
			return fmt.Errorf("it has an event %q of topic %q that was never sent", got.ID, got.Topic)
		}
		if seen[number] {
			return fmt.Errorf("it has event %q of topic %q twice", got.ID, got.Topic)
		}
		seen[number] = true
		found++
		return compare(plan.Event(number), got)
	})
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if found != distinct {
		return fmt.Errorf("%d of %d events are there", found, distinct)
	}
	return nil
}

func compare(want, got events.Event) error {
	for _, part := range []struct{ name, want, got string }{
		{"topic", want.Topic, got.Topic},
		{"source", want.Source, got.Source},
		{"timestamp", want.Timestamp, got.Timestamp},
		{"payload", want.Payload, got.Payload},
	} {
		if part.want != part.got {
			return fmt.Errorf("event %q has the %s %q; %q was sent", want.ID, part.name, part.got, part.want)
		}
	}
	return nil
}
