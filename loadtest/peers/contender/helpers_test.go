package contender_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/events"
)

// memory is a peer's holdings that a test can falsify.
type memory struct {
	count  int64
	events []events.Event
}

func (m *memory) Count(context.Context) (int64, error) { return m.count, nil }

func (m *memory) Each(_ context.Context, visit func(events.Event) error) error {
	for _, e := range m.events {
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

// everything returns a plan and what a peer that is right has of its first n.
func everything(t *testing.T, total, n int) (*events.Plan, *memory) {
	t.Helper()
	plan, err := events.NewPlan(1, total, 0.1)
	require.NoError(t, err)
	m := &memory{count: int64(plan.Distinct(n))}
	for number := range plan.Distinct(n) {
		m.events = append(m.events, plan.Event(uint32(number)))
	}
	return plan, m
}
