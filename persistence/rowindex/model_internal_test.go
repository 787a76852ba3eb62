package rowindex

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Columns of the tables under test.
const (
	hashed  = 0
	scanned = 1
)

// table is a table in memory, and the naive index that an Index is compared
// with.
type table struct {
	identity uint64 // tells the rows of this table from those of another

	mu   sync.RWMutex
	rows [][]uint64 // row i is rows[i-1]; nil where there is none
	find [2]map[uint64][]int64
}

func newTable(identity uint64) *table {
	return &table{identity: identity, find: [2]map[uint64][]int64{{}, {}}}
}

// append adds a row behind a number of rows that do not exist.
func (t *table) append(gap int, keys ...uint64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, make([][]uint64, gap)...)
	t.rows = append(t.rows, keys)
	row := int64(len(t.rows))
	for c, key := range keys {
		t.find[c][key] = append(t.find[c][key], row)
	}
	return row
}

// skip leaves out rows.
func (t *table) skip(rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, make([][]uint64, rows)...)
}

func (t *table) last() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return int64(len(t.rows))
}

func (t *table) Scan(ctx context.Context, first, last int64, add func(int64, []uint64)) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for row := first; row <= last; row++ {
		if keys := t.rows[row-1]; keys != nil {
			add(row, keys)
		}
	}
	return ctx.Err()
}

func (t *table) Stamp(ctx context.Context, row int64) (uint64, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if row > int64(len(t.rows)) || t.rows[row-1] == nil {
		return 0, ctx.Err()
	}
	keys := t.rows[row-1]
	return t.identity + 31*keys[hashed] + keys[scanned] | 1, ctx.Err()
}

// with returns the rows up to last that have the key.
func (t *table) with(column int, key uint64, last int64) []int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	rows := t.find[column][key]
	end, _ := slices.BinarySearch(rows, last+1)
	return rows[:end:end]
}

// page returns the rows that Scan should find.
func (t *table) page(key uint64, last, after int64, descending bool, limit int) []int64 {
	rows := t.with(scanned, key, last)
	if descending {
		end, _ := slices.BinarySearch(rows, after)
		rows = slices.Clone(rows[:end])
		slices.Reverse(rows)
	} else {
		start, found := slices.BinarySearch(rows, after)
		if found {
			start++
		}
		rows = rows[start:]
	}
	return rows[:max(0, min(limit, len(rows)))]
}

// keys returns all keys of a column.
func (t *table) keys(column int) (keys []uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for key := range t.find[column] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// difference is the first answer of an index that is not the table's.
type difference struct {
	call          string
	key           uint64
	want, got     []int64
	err           error
	after         int64
	descending    bool
	limit, column int
}

// compareFind asks for one key.
func compareFind(x *Index, t *table, key uint64, last int64) *difference {
	got, err := x.Find(nil, hashed, key)
	slices.Sort(got)
	if want := t.with(hashed, key, last); err != nil || !slices.Equal(got, want) {
		return &difference{call: "Find", key: key, want: want, got: got, err: err}
	}
	return nil
}

// comparePage asks for one page of a key.
func comparePage(x *Index, t *table, key uint64, last, after int64, descending bool, limit int) *difference {
	got, err := x.Scan([]int64{-1}, scanned, key, after, descending, limit)
	want := append([]int64{-1}, t.page(key, last, after, descending, limit)...)
	if err != nil || !slices.Equal(got, want) {
		return &difference{"Scan", key, want, got, err, after, descending, limit, scanned}
	}
	return nil
}

// compare asks for every key of the table, for absent ones, and for pages of
// every key from some cursors of every kind.
func compare(x *Index, t *table, last int64, rng *rand.Rand) *difference {
	return compareSome(x, t, last, rng, math.MaxInt)
}

// compareSome asks for not more than so many keys of the hashed column.
func compareSome(x *Index, t *table, last int64, rng *rand.Rand, most int) *difference {
	keys := t.keys(hashed)
	if len(keys) > most {
		rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		keys = keys[:most]
	}
	for _, key := range keys {
		for _, key := range []uint64{key, key ^ 1<<rng.Uint64N(64)} {
			if d := compareFind(x, t, key, last); d != nil {
				return d
			}
		}
	}
	for _, key := range append(t.keys(scanned), 77, math.MaxUint64-1) {
		for range 5 {
			after, limit := cursor(rng, last), []int{-1, 0, 1, rng.IntN(500), math.MaxInt}[rng.IntN(5)]
			if d := comparePage(x, t, key, last, after, rng.IntN(2) == 0, limit); d != nil {
				return d
			}
		}
		for _, descending := range []bool{false, true} {
			after := map[bool]int64{false: 0, true: math.MaxInt64}[descending]
			if d := comparePage(x, t, key, last, after, descending, math.MaxInt); d != nil {
				return d
			}
		}
	}
	return nil
}

// cursor returns a row number, or what somebody may take for one.
func cursor(rng *rand.Rand, last int64) int64 {
	special := []int64{math.MinInt64, -1, 0, 1, last, last + 1, math.MaxInt64}
	if i := rng.IntN(20); i < len(special) {
		return special[i]
	}
	return rng.Int64N(last + 2)
}

// whole waits until the damage that was found is mended.
func whole(ctx context.Context, x *Index) error {
	for {
		x.mu.RLock()
		damage, changed := x.damage, x.changed
		x.mu.RUnlock()
		if damage == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle waits until the background work has nothing left to do.
func idle(tb testing.TB, x *Index) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		x.mu.RLock()
		busy := len(x.frozen) > 0 || x.damage != nil
		x.mu.RUnlock()
		return !busy && x.mergeable(0, math.MaxInt) == nil
	}, 2*time.Minute, time.Millisecond)
}

// keyMaker makes keys as they come, and such as they hardly come.
type keyMaker struct{ *rand.Rand }

func (k keyMaker) hash() uint64 {
	switch k.IntN(10) {
	case 0:
		return []uint64{0, 1, math.MaxUint64, 1 << 32, 1<<32 - 1}[k.IntN(5)]
	case 1:
		return k.Uint64N(50) // the same again and again, with one filter block for all
	case 2:
		return k.Uint64N(50) << 32 // with the same bits in all filter blocks
	default:
		return k.Uint64()
	}
}

func (k keyMaker) topic() uint64 {
	switch k.IntN(10) {
	case 0:
		return 1 + k.Uint64N(30)
	case 1:
		return math.MaxUint64
	default:
		return 1 + k.Uint64N(3)
	}
}

// seed returns the seed of a random test; ROWINDEX_SEED repeats one.
func seed(tb testing.TB) uint64 {
	tb.Helper()
	s := number(tb, "ROWINDEX_SEED", rand.Uint64())
	tb.Logf("repeat with ROWINDEX_SEED=%d", s)
	return s
}

// number returns the number in an environment variable, if there is one.
func number[N int | uint64](tb testing.TB, variable string, otherwise N) N {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(tb, err)
	return N(n)
}

// segmentFiles returns the paths of the files in dir.
func segmentFiles(tb testing.TB, dir string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(tb, err)
	return files
}

// copyFiles copies what of dir is there as it comes along: files that appear or
// vanish meanwhile are there or not, as after a crash.
func copyFiles(tb testing.TB, dir string) string {
	tb.Helper()
	to := tb.TempDir()
	for _, file := range segmentFiles(tb, dir) {
		content, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(tb, err)
		require.NoError(tb, os.WriteFile(filepath.Join(to, filepath.Base(file)), content, 0o600))
	}
	return to
}
