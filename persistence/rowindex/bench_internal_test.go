package rowindex

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchTable is a table whose keys follow from the row numbers.
type benchTable struct{}

func (benchTable) key(row int64) uint64 { // the finaliser of splitmix64
	z := uint64(row) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (t benchTable) Scan(ctx context.Context, first, last int64, add func(int64, []uint64)) error {
	keys := make([]uint64, 2)
	for row := first; row <= last; row++ {
		keys[hashed], keys[scanned] = t.key(row), 1+uint64(row)%10
		add(row, keys)
	}
	return ctx.Err()
}

func (t benchTable) Stamp(ctx context.Context, row int64) (uint64, error) {
	return t.key(row), ctx.Err()
}

func benchOptions(b *testing.B) Options {
	return Options{Dir: b.TempDir(), Name: "t", Columns: []Column{{Hashed: true}, {}}, Table: benchTable{}}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one only found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFind asks an index of ROWINDEX_BENCH_ROWS rows (default 1 M) whose
// background work is done.
func BenchmarkFind(b *testing.B) {
	rows := int64(number(b, "ROWINDEX_BENCH_ROWS", 1<<20))
	before := heap()
	x, err := Open(b.Context(), rows, benchOptions(b))
	require.NoError(b, err)
	defer func() { require.NoError(b, x.Close()) }()
	idle(b, x)
	require.Eventually(b, func() bool { return len(segmentFiles(b, x.Dir)) == len(x.segments) }, time.Minute, time.Millisecond)
	memory := heap() - before
	rng := rand.New(rand.NewPCG(1, 2))
	const batch = 1000
	keys, rowOf := make([]uint64, batch), make([]int64, batch)
	b.Run("absent", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range keys {
				keys[i] = rng.Uint64()
			}
			require.NoError(b, x.FindAll(hashed, keys, func(i int, row int64) { b.Error(keys[i], row) }))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/key")
		b.ReportMetric(float64(memory)/float64(rows), "heap-B/row")
		b.ReportMetric(diskBytes(b, x)/float64(rows), "disk-B/row")
		b.ReportMetric(float64(len(x.segments)), "segments")
	})
	b.Run("present", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range keys {
				rowOf[i] = 1 + rng.Int64N(rows)
				keys[i] = benchTable{}.key(rowOf[i])
			}
			found := 0
			require.NoError(b, x.FindAll(hashed, keys, func(i int, row int64) {
				if row != rowOf[i] {
					b.Error(i, row)
				}
				found++
			}))
			require.Equal(b, batch, found)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/key")
	})
	b.Run("page of 100", func(b *testing.B) {
		b.ReportAllocs()
		page := make([]int64, 0, 100)
		for b.Loop() {
			if page, err = x.Scan(page[:0], scanned, 3, rng.Int64N(rows/2), false, 100); err != nil || len(page) != 100 {
				b.Fatal(page, err)
			}
		}
	})
}

func diskBytes(b *testing.B, x *Index) (sum float64) {
	b.Helper()
	for _, file := range segmentFiles(b, x.Dir) {
		info, err := os.Stat(file)
		require.NoError(b, err)
		sum += float64(info.Size())
	}
	return sum
}

func BenchmarkAdd(b *testing.B) {
	x, err := Open(b.Context(), 0, benchOptions(b))
	require.NoError(b, err)
	defer func() { require.NoError(b, x.Close()) }()
	const rows = 1000
	hashes, topics := make([]uint64, rows), make([]uint64, rows)
	b.ReportAllocs()
	last := int64(0)
	for b.Loop() {
		for i := range hashes {
			hashes[i], topics[i] = benchTable{}.key(last+1+int64(i)), 1+uint64(i)%10
		}
		require.NoError(b, x.Ready(b.Context()))
		x.Add(last+1, hashes, topics)
		last += rows
	}
	b.ReportMetric(float64(last)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkBuild writes the segment of a generation.
func BenchmarkBuild(b *testing.B) {
	x := &Index{Options: benchOptions(b).withDefaults()}
	g := newGeneration(1, x.Columns)
	require.NoError(b, benchTable{}.Scan(b.Context(), 1, int64(x.GenerationRows), func(_ int64, keys []uint64) { g.add(keys) }))
	for b.Loop() {
		s, err := x.writeGeneration(b.Context(), g)
		require.NoError(b, err)
		require.NoError(b, s.close())
	}
	b.ReportMetric(float64(b.N*x.GenerationRows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkMerge merges segments of a generation each, without the pauses.
func BenchmarkMerge(b *testing.B) {
	x := &Index{Options: benchOptions(b).withDefaults()}
	var run []*segment
	for i := range int64(x.Fanout) {
		s, err := x.rebuild(b.Context(), 1+i*int64(x.GenerationRows), (i+1)*int64(x.GenerationRows))
		require.NoError(b, err)
		run = append(run, s)
	}
	defer closeAll(run)
	last := run[len(run)-1].last
	for b.Loop() {
		p, err := x.plan(b.Context(), 1, last)
		require.NoError(b, err)
		for c := range x.Columns {
			source, err := newMergeSource(run, c)
			require.NoError(b, err)
			p.columns = append(p.columns, source)
		}
		s, err := p.write(b.Context())
		require.NoError(b, err)
		require.NoError(b, s.close())
	}
	b.ReportMetric(float64(int64(b.N)*last)/b.Elapsed().Seconds(), "rows/s")
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
