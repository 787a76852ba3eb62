package rowindex

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPagesOfAKeyThatFillsManyBlocks(t *testing.T) {
	const rows, topic, often = 120_000, 7, 99
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.close()
	r.options.GenerationRows, r.options.Fanout = 10_000, 3
	r.open()
	var keys [2][]uint64
	for row := range uint64(rows) {
		k := []uint64{r.rng.Uint64(), topic}
		if row%50 == 0 {
			k[hashed] = often
		}
		if row%6 == 0 {
			k[scanned] = 1 + row%13 // some before, some behind the topic
		}
		r.table.append(0, k...)
		keys[hashed], keys[scanned] = append(keys[hashed], k[hashed]), append(keys[scanned], k[scanned])
	}
	r.index.Add(1, keys[:]...)
	for _, when := range []string{"half of it in memory", "all in segments"} {
		require.Nil(t, compareFind(r.index, r.table, often, rows), when)
		require.Equal(t, r.table.with(scanned, topic, rows), allPages(t, r.index, topic, false), when)
		down := allPages(t, r.index, topic, true)
		slices.Reverse(down)
		require.Equal(t, r.table.with(scanned, topic, rows), down, when)
		idle(t, r.index)
	}
}

func allPages(t *testing.T, x *Index, key uint64, descending bool) (all []int64) {
	t.Helper()
	after := int64(0)
	if descending {
		after = math.MaxInt64
	}
	for {
		before := len(all)
		var err error
		all, err = x.Scan(all, scanned, key, after, descending, 997)
		require.NoError(t, err)
		if len(all) == before {
			return all
		}
		require.LessOrEqual(t, len(all), before+997)
		after = all[len(all)-1]
	}
}

// TestRowsAtTheBordersOfGenerations leaves out rows in all ways in which the
// first and the last rows of a generation can be left out.
func TestRowsAtTheBordersOfGenerations(t *testing.T) {
	const generation = 16
	for gap := range 2*generation + 2 {
		for before := generation - 2; before <= generation+2; before++ {
			r := newRig(t, rand.New(rand.NewPCG(1, 2)))
			r.close()
			r.options.GenerationRows = generation
			r.open()
			r.addWithoutGap(before)
			r.table.skip(gap)
			r.addWithoutGap(3)
			name := fmt.Sprintf("%d rows, then %d left out", before, gap)
			require.Nil(t, compare(r.index, r.table, r.table.last(), r.rng), name)
			r.requireContiguous()
			r.close()

			// The table may also end with rows that do not exist.
			r.table.skip(gap)
			r.open()
			require.Nil(t, compare(r.index, r.table, r.table.last(), r.rng), name)
			r.addWithoutGap(3)
			require.Nil(t, compare(r.index, r.table, r.table.last(), r.rng), name)
			r.close()
		}
	}
}

func TestMergingEndsWithFewSegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 0))
	for range 200 {
		x := &Index{Options: Options{GenerationRows: 1 + rng.IntN(100), Fanout: 2 + rng.IntN(8)}}
		last := int64(0)
		for range rng.IntN(500) { // full generations, parts of such, and merged ones, in any order
			rows := int64(x.GenerationRows)
			switch rng.IntN(8) {
			case 0:
				rows = 1 + rng.Int64N(rows)
			case 1:
				rows = 1 + rng.Int64N(rows*1000)
			}
			x.segments = append(x.segments, &segment{header: header{first: last + 1, last: last + rows}})
			last += rows
		}
		levels := 1
		for merges := 0; ; merges++ {
			require.LessOrEqual(t, merges, 500)
			run := x.mergeable(0, math.MaxInt)
			if run == nil {
				break
			}
			x.replace(run, &segment{header: header{first: run[0].first, last: run[len(run)-1].last}})
		}
		next := int64(1)
		for _, s := range x.segments {
			require.Equal(t, next, s.first)
			next = s.last + 1
			levels = max(levels, 1+x.level(s.rows()))
		}
		require.Equal(t, last+1, next)
		require.LessOrEqual(t, len(x.segments), levels*(x.Fanout-1))
	}
}

func TestMergingSparesSegmentsThatAreVeryLarge(t *testing.T) {
	x := &Index{Options: Options{GenerationRows: maxMergedRows / 2, Fanout: 2}}
	for i := range int64(4) {
		x.segments = append(x.segments, &segment{header: header{first: 1 + i*maxMergedRows/2, last: (i + 1) * maxMergedRows / 2}})
	}
	for range 2 {
		run := x.mergeable(0, math.MaxInt)
		require.Len(t, run, 2)
		x.replace(run, &segment{header: header{first: run[0].first, last: run[1].last}})
	}
	require.Nil(t, x.mergeable(0, math.MaxInt))
	require.Len(t, x.segments, 2)
}

func TestMergingTakesTheSmallestAndOfTheseTheOldest(t *testing.T) {
	x := &Index{Options: Options{GenerationRows: 10, Fanout: 2}}
	last := int64(0)
	for _, rows := range []int64{40, 40, 20, 20, 10, 10, 10} {
		x.segments = append(x.segments, &segment{header: header{first: last + 1, last: last + rows}})
		last += rows
	}
	var merged [][2]int64
	for run := x.mergeable(0, math.MaxInt); run != nil; run = x.mergeable(0, math.MaxInt) {
		by := &segment{header: header{first: run[0].first, last: run[1].last}}
		merged = append(merged, [2]int64{by.first, by.last})
		x.replace(run, by)
	}
	require.Equal(t, [][2]int64{{121, 140}, {81, 120}, {1, 80}}, merged)
}

func TestOpenTakesTheMergedSegmentAndNotItsParts(t *testing.T) {
	d := newDamageRig(t, seed(t))
	merged := segmentFileName("t", 1, 2*damageRows)
	files := d.restored()
	files[merged] = d.part(t, 1, 2*damageRows)
	d.put(files)
	d.open()
	d.checkAll()
	d.close()
	require.Equal(t, []string{filepath.Join(d.options.Dir, merged)}, d.rig.files)
	require.Equal(t, d.rig.files, segmentFiles(t, d.options.Dir))
}

func TestOpenWithFewerRowsForgetsTheOthers(t *testing.T) {
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.addWithoutGap(5 * r.options.GenerationRows)
	idle(t, r.index)
	r.close()
	fewer := r.table.last() - 1
	x, err := Open(t.Context(), fewer, r.options)
	require.NoError(t, err)
	require.Nil(t, compare(x, r.table, fewer, r.rng))
	require.NoError(t, x.Close())
}
