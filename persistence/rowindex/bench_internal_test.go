package rowindex

import (
	"context"
	"math/rand/v2"
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
	b.Run("absent", func(b *testing.B) {
		b.ReportAllocs()
		var found []int64
		for b.Loop() {
			found, err = x.Find(found[:0], 0, rng.Uint64())
		}
	})
	b.Run("present", func(b *testing.B) {
		b.ReportAllocs()
		var found []int64
		for b.Loop() {
			found, err = x.Find(found[:0], 0, table.keys[rng.IntN(rows)][0])
			if len(found) != 1 {
				b.Fatal(found)
			}
		}
	})
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
