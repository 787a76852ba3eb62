package events_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/events"
)

func newPlan(t *testing.T, seed uint64, total int) *events.Plan {
	t.Helper()
	p, err := events.NewPlan(seed, total, 0.1)
	require.NoError(t, err)
	return p
}

func all(p *events.Plan) []events.Event {
	var b events.Batch
	b.Fill(p, 0, p.Total())
	return b.Events
}

func TestTheSameSeedMakesTheSameEvents(t *testing.T) {
	first, second := newPlan(t, 7, 3000), newPlan(t, 7, 3000)
	require.Equal(t, all(first), all(second))
	require.NotEqual(t, all(first), all(newPlan(t, 8, 3000)))
}

func TestAnEventIsAJSONObjectOfTheSizeThatWasMeasuredBefore(t *testing.T) {
	topics := map[string]bool{}
	for _, e := range all(newPlan(t, 1, 20_000)) {
		var fields struct {
			Topic, Source, Timestamp string
			EventID                  string `json:"event_id"`
			Payload                  json.RawMessage
		}
		require.NoError(t, json.Unmarshal([]byte(e.JSON), &fields))
		require.Equal(t, []string{e.Topic, e.ID, e.Source, e.Timestamp, e.Payload},
			[]string{fields.Topic, fields.EventID, fields.Source, fields.Timestamp, string(fields.Payload)})
		require.True(t, len(e.JSON) >= 255 && len(e.JSON) <= 290, "%d bytes", len(e.JSON))
		topics[e.Topic] = true
	}
	require.Len(t, topics, len(events.Topics))
}

func TestTheBatchIsAJSONArrayOfItsEvents(t *testing.T) {
	var b events.Batch
	p := newPlan(t, 1, 250)
	for first := 0; first < p.Total(); first += 100 {
		b.Fill(p, first, 100)
		var list []json.RawMessage
		require.NoError(t, json.Unmarshal(b.JSON, &list))
		require.Len(t, list, len(b.Events))
		for i := range list {
			require.Equal(t, b.Events[i].JSON, string(list[i]))
			require.Equal(t, p.Event(b.Events[i].Number), b.Events[i])
		}
	}
	require.Len(t, b.Events, 50, "the last batch is what is left")
}

func TestTheShareOfRepeatsIsExactAndTheyComeFromNearAndFar(t *testing.T) {
	const total = 50_000
	p := newPlan(t, 3, total)
	near, far, next := 0, 0, uint32(0)
	for i, e := range all(p) {
		require.Equal(t, int(next), p.Distinct(i))
		switch {
		case e.Number == next:
			next++
		case next-e.Number <= 1000:
			near++
		default:
			require.Less(t, e.Number, next)
			far++
		}
	}
	require.Equal(t, total/10, near+far)
	require.Equal(t, total-total/10, p.Distinct(total))
	require.Greater(t, near, total/25)
	require.Greater(t, far, total/25)
}

func TestAnIDTellsItsNumberAndOtherIDsDoNot(t *testing.T) {
	m := events.NewMaker(5)
	for _, number := range []uint32{0, 1, 77, 1<<32 - 1} {
		got, ok := m.Number(m.Event(number).ID)
		require.True(t, ok)
		require.Equal(t, number, got)
	}
	for _, id := range []string{"", "zz", events.NewMaker(6).Event(1).ID, "00000000000000000000000000000000", "z0000000000000000000000000000000"} {
		_, ok := m.Number(id)
		require.False(t, ok, id)
	}
}

func TestAPlanThatCannotBeIsRefused(t *testing.T) {
	for _, total := range []int{0, -1, 1 << 33} {
		_, err := events.NewPlan(1, total, 0.1)
		require.Error(t, err)
	}
	_, err := events.NewPlan(1, 10, 0.95)
	require.Error(t, err)
}
