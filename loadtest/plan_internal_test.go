package loadtest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func planOf(t testing.TB, o Options) *plan {
	t.Helper()
	o.URL = "http://127.0.0.1:1"
	o, err := o.WithDefaults()
	require.NoError(t, err)
	p, err := newPlan(o)
	require.NoError(t, err)
	return p
}

func TestTheSamePlanComesFromTheSameSeed(t *testing.T) {
	o := Options{Seed: 3, RunID: "r", DuplicateShare: 0.5}
	first, second := planOf(t, o), planOf(t, o)
	require.Equal(t, first.sends, second.sends)
	require.Equal(t, first.bodies, second.bodies)
	o.Seed = 4
	require.NotEqual(t, first.sends, planOf(t, o).sends)
}

func TestAPlanHoldsExactlyTheShareOfRepeatsAndEachIdIsFirstSentInOrder(t *testing.T) {
	for _, share := range []float64{0, 0.2, 0.5, 0.6, 0.99, 1} {
		p := planOf(t, Options{DuplicateShare: share, RunID: "r"})
		known := 0
		for _, k := range p.sends {
			require.LessOrEqual(t, int(k), known, "a repeat needs an original")
			if int(k) == known {
				known++
			}
		}
		require.Equal(t, p.unique, known)
		require.Equal(t, max(1, 5000-int(5000*share+0.5)), p.unique)
	}
}

func TestRepeatsAreBothRecentAndOld(t *testing.T) {
	p := planOf(t, Options{Events: 50_000, DuplicateShare: 0.5, RunID: "r"})
	known, recent, old := 0, 0, 0
	for _, k := range p.sends {
		switch {
		case int(k) == known:
			known++
		case known-int(k) <= 2*8*100:
			recent++
		default:
			old++
		}
	}
	require.Greater(t, recent, 10_000)
	require.Greater(t, old, 8_000)
}

func TestEventsHaveTheirSizeAndIdsDiffer(t *testing.T) {
	for _, size := range []int{MinPayloadBytes, 33, 150, 4096} {
		p := planOf(t, Options{Events: 3000, PayloadBytes: size, RunID: "r"})
		ids := map[string]bool{}
		for k := range p.unique {
			e := p.event(k)
			require.Len(t, e.Payload, size)
			require.True(t, json.Valid(e.Payload))
			require.Equal(t, e, p.event(k))
			ids[e.ID] = true
		}
		require.Len(t, ids, p.unique)
	}
}

func TestBodiesAreTheSameWhetherEncodedBeforehandOrNot(t *testing.T) {
	p := planOf(t, Options{Events: 250, DuplicateShare: 0.3, RunID: "r"})
	require.Len(t, p.bodies, 3)
	for i, want := range p.bodies {
		got, err := p.encode(i)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
