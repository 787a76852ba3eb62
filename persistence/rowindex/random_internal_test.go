package rowindex

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIndexAgreesWithANaiveOneWhateverHappens(t *testing.T) {
	base, steps := seed(t), number(t, "ROWINDEX_STEPS", 130)
	for run := range uint64(8) {
		name := fmt.Sprintf("run %d, background work running freely", run)
		if run%2 == 1 {
			name = fmt.Sprintf("run %d, background work held at random steps", run)
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rand.New(rand.NewPCG(base, run)))
			r.stepped = run%2 == 1
			done := map[string]int{}
			for range steps {
				done[r.randomStep()]++
			}
			r.checkAll()
			r.stepper.release()
			r.stepped = false
			idle(t, r.index)
			r.checkAll()
			require.NoError(t, r.index.Ready(t.Context()))
			levels := map[int]int{}
			for _, s := range r.index.segments {
				levels[r.index.level(s.rows())]++
			}
			t.Logf("%d rows, generations of %d, segments by level %v, steps %v", r.table.last(), r.options.GenerationRows, levels, done)
		})
	}
}

// randomStep does one thing with the index and returns its name.
func (r *rig) randomStep() string {
	r.tb.Helper()
	switch i := r.rng.IntN(100); {
	case i < 40:
		r.add(1 + r.rng.IntN(60))
		return "add"
	case i < 55:
		r.findPresent()
		return "find present"
	case i < 65:
		key := r.rng.Uint64()
		r.check(func() *difference { return compareFind(r.index, r.table, key, r.table.last()) })
		return "find absent"
	case i < 80:
		key, after, descending, limit := keyMaker{r.rng}.topic(), cursor(r.rng, r.table.last()), r.rng.IntN(2) == 0, r.rng.IntN(100)
		r.check(func() *difference {
			return comparePage(r.index, r.table, key, r.table.last(), after, descending, limit)
		})
		return "scan"
	case i < 90:
		if r.stepped {
			r.stepper.hold(r.rng.IntN(30))
		}
		return "go on"
	case i < 92:
		r.close()
		r.open()
		r.checkSome()
		return "close and open"
	case i < 95:
		r.crash()
		r.open()
		r.checkSome()
		return "crash and open"
	case i < 98:
		r.crash()
		for range 1 + r.rng.IntN(3) {
			r.tb.Log(damage(r.tb, r.rng, r.options.Dir))
		}
		r.open()
		r.checkSome()
		return "crash, damage and open"
	default:
		r.tb.Log("while open: ", damage(r.tb, r.rng, r.options.Dir))
		return "damage"
	}
}

func (r *rig) findPresent() {
	r.tb.Helper()
	last := r.table.last()
	if last == 0 || r.table.rows[last-1] == nil {
		return
	}
	keys := r.table.rows[r.rng.Int64N(last)]
	if keys == nil {
		keys = r.table.rows[last-1]
	}
	r.check(func() *difference { return compareFind(r.index, r.table, keys[hashed], last) })
}
