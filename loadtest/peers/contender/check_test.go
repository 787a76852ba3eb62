package contender_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/contender"
	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

func TestAPeerThatHasEveryEventOncePasses(t *testing.T) {
	for _, sent := range []int{0, 1, 999, 2000} {
		plan, m := everything(t, 2000, sent)
		require.NoError(t, contender.CheckHoldings(t.Context(), plan, sent, m))
		distinct := int64(plan.Distinct(sent))
		require.NoError(t, contender.CheckAnswers(plan, sent, measure.Tally{Stored: distinct, Duplicates: int64(sent) - distinct}))
	}
}

func TestAPeerThatLiesIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(*events.Plan, *memory)
		says string
	}{
		"it has lost one and knows it": {
			func(_ *events.Plan, m *memory) { m.events, m.count = m.events[1:], m.count-1 }, "it counts 1799 events",
		},
		"it has lost one and does not know": {
			func(_ *events.Plan, m *memory) { m.events = m.events[:len(m.events)-1] }, "1799 of 1800 events are there",
		},
		"it has one twice": {
			func(_ *events.Plan, m *memory) { m.events = append(m.events, m.events[7]) }, "twice",
		},
		"it has one twice in place of another": {
			func(_ *events.Plan, m *memory) { m.events[8] = m.events[7] }, "twice",
		},
		"it counts one too many": {
			func(_ *events.Plan, m *memory) { m.count++ }, "it counts 1801 events",
		},
		"it has an event that is not in the plan yet": {
			func(p *events.Plan, m *memory) { m.events[3] = p.Event(1800) }, "never sent",
		},
		"it has an event of nobody": {
			func(_ *events.Plan, m *memory) { m.events[3].ID = "x" }, "never sent",
		},
		"it has changed a payload": {
			func(_ *events.Plan, m *memory) { m.events[5].Payload = "{}" }, "has the payload",
		},
		"it has changed a timestamp": {
			func(_ *events.Plan, m *memory) { m.events[5].Timestamp = "now" }, "has the timestamp",
		},
		"it has changed a source": {
			func(_ *events.Plan, m *memory) { m.events[5].Source = "x" }, "has the source",
		},
		"it has put one into another topic": {
			func(_ *events.Plan, m *memory) { m.events[5].Topic = "x" }, "has the topic",
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan, m := everything(t, 2000, 2000)
			c.lie(plan, m)
			require.ErrorContains(t, contender.CheckHoldings(t.Context(), plan, 2000, m), c.says)
		})
	}
}

func TestAPeerThatSaysWrongNumbersIsFound(t *testing.T) {
	plan, _ := everything(t, 2000, 2000)
	for _, tally := range []measure.Tally{
		{Stored: 1801, Duplicates: 199},
		{Stored: 1799, Duplicates: 201},
		{Stored: 1800, Duplicates: 199},
		{Stored: 2000},
	} {
		require.ErrorContains(t, contender.CheckAnswers(plan, 2000, tally), "it was sent 1800 and 200")
	}
}
