package rowindex

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyTable is a table in memory: row i has keys[i-1].
type keyTable struct{ keys [][]uint64 }

func (t *keyTable) Scan(_ context.Context, first, last int64, add func(int64, []uint64)) error {
	for row := first; row <= last; row++ {
		add(row, t.keys[row-1])
	}
	return nil
}

func (t *keyTable) Stamp(_ context.Context, row int64) (uint64, error) {
	if row > int64(len(t.keys)) {
		return 0, nil
	}
	return t.keys[row-1][0], nil
}

func BenchmarkFind(b *testing.B) {
	const rows = 4 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	table := &keyTable{}
	for range rows {
		table.keys = append(table.keys, []uint64{rng.Uint64(), 1 + rng.Uint64N(10)})
	}
	x, err := Open(b.Context(), rows, Options{Dir: b.TempDir(), Name: "t", Columns: []Column{{Hashed: true}, {}}, Table: table})
	require.NoError(b, err)
	defer func() { require.NoError(b, x.Close()) }()
	for x.mergeable(0, math.MaxInt) != nil {
		runtime.Gosched() // merges of what Open wrote are still on
	}
	const batch = 1000
	keys := make([]uint64, batch)
	for name, next := range map[string]func() uint64{
		"absent":  rng.Uint64,
		"present": func() uint64 { return table.keys[rng.IntN(rows)][0] },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			found := 0
			for b.Loop() {
				for i := range keys {
					keys[i] = next()
				}
				require.NoError(b, x.FindAll(0, keys, func(int, int64) { found++ }))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/key")
			b.ReportMetric(float64(found)/float64(b.N*batch), "rows/key")
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	x, err := Open(b.Context(), 0, Options{Dir: b.TempDir(), Name: "t", Columns: []Column{{Hashed: true}, {}}, Table: &keyTable{}})
	require.NoError(b, err)
	defer func() { require.NoError(b, x.Close()) }()
	rng := rand.New(rand.NewPCG(1, 2))
	hashes, topics := make([]uint64, 1000), make([]uint64, 1000)
	b.ReportAllocs()
	row := int64(1)
	for b.Loop() {
		for i := range hashes {
			hashes[i], topics[i] = rng.Uint64(), 1+rng.Uint64N(10)
		}
		require.NoError(b, x.Ready(b.Context()))
		x.Add(row, hashes, topics)
		row += int64(len(hashes))
	}
}

// BenchmarkFilter asks the filters of eight segments for the keys of a batch.
func BenchmarkFilter(b *testing.B) {
	const segments, rows, batch = 8, 2 << 20, 5000
	rng := rand.New(rand.NewPCG(1, 2))
	filters := make([]filter, segments)
	for i := range filters {
		filters[i] = testFilter(b, rows)
		for range rows {
			filters[i].add(rng.Uint64())
		}
	}
	keys := make([]uint64, batch)
	for _, warm := range []int{1, 8, 16, 32, 64} {
		b.Run("warm="+strconv.Itoa(warm), func(b *testing.B) {
			hits := 0
			for b.Loop() {
				for i := range keys {
					keys[i] = rng.Uint64()
				}
				for _, f := range filters {
					for chunk := range slices.Chunk(keys, warm) {
						f.warm(chunk)
						for _, key := range chunk {
							if f.has(key) {
								hits++
							}
						}
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*segments*batch), "ns/look")
			b.ReportMetric(float64(hits)/float64(b.N*segments*batch), "false-positives/look")
		})
	}
}
