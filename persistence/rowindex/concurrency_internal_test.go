package rowindex

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadersMissNoRowThatWasAddedBefore asks from several goroutines while
// rows are added, segments are built and merged and, in one case, damaged.
func TestReadersMissNoRowThatWasAddedBefore(t *testing.T) {
	for _, c := range []struct {
		name    string
		damages bool
		rows    int64
	}{
		{"while the files stay as they are", false, 20_000},
		{"while files are damaged", true, 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := seed(t)
			r := newRig(t, rand.New(rand.NewPCG(base, 0)))
			r.close()
			r.options.GenerationRows, r.options.Fanout, r.options.MaxFrozen = 250, 2, 2
			r.open()
			done := make(chan struct{})
			var added, asked atomic.Int64
			var readers sync.WaitGroup
			for reader := range uint64(3) {
				readers.Go(func() {
					rng := rand.New(rand.NewPCG(base, 1+reader))
					for {
						select {
						case <-done:
							return
						default:
						}
						d := askWhileAdding(r.index, r.table, &added, rng)
						if d != nil && (!c.damages || !errors.Is(d.err, errDamaged)) {
							t.Errorf("%+v", d)
							return
						}
						asked.Add(1)
					}
				})
			}
			damages := 0
			for r.table.last() < c.rows {
				if c.damages && r.rng.IntN(10) == 0 {
					t.Log(damage(t, r.rng, r.options.Dir))
					damages++
				}
				r.addWhenReady(t)
				added.Store(r.table.last())
			}
			close(done)
			readers.Wait()
			r.checkAll()
			t.Logf("%d rows, %d damages, %d questions", r.table.last(), damages, asked.Load())
		})
	}
}

// addWhenReady adds rows as a store does, after the damage is mended.
func (r *rig) addWhenReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := r.index.Ready(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, ErrBacklog) { // a file was harmed while it was written; it will be tried again
			require.NoError(t, ctx.Err())
			runtime.Gosched()
			continue
		}
		require.ErrorIs(t, err, errDamaged)
		require.NoError(t, whole(ctx, r.index))
	}
	r.add(1 + r.rng.IntN(100))
}

// askWhileAdding asks for what is known to have been added. More may be found.
func askWhileAdding(x *Index, t *table, added *atomic.Int64, rng *rand.Rand) *difference {
	last := added.Load()
	if last == 0 {
		return nil
	}
	keys := t.keysOf(1 + rng.Int64N(last))
	if keys == nil {
		return nil
	}
	if rng.IntN(2) == 0 {
		got, err := x.Find(nil, hashed, keys[hashed])
		want := t.with(hashed, keys[hashed], last)
		slices.Sort(got)
		if err != nil || len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			return &difference{call: "Find", key: keys[hashed], got: got, want: want, err: err}
		}
		return nil
	}
	after, limit := 1+rng.Int64N(last+1), 1+rng.IntN(200)
	if rng.IntN(2) == 0 { // what is behind the cursor does not change any more
		return comparePage(x, t, keys[scanned], last, after, true, limit)
	}
	got, err := x.Scan(nil, scanned, keys[scanned], after, false, limit)
	want := t.page(keys[scanned], last, after, false, limit)
	if err != nil || len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		return &difference{call: "Scan", key: keys[scanned], got: got, want: want, err: err, after: after, limit: limit}
	}
	return nil
}

func (t *table) keysOf(row int64) []uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows[row-1]
}
