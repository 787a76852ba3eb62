package rowindex

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stepper lets the background work go on step by step, or freely.
type stepper struct {
	mu     sync.Mutex
	change sync.Cond
	held   bool
	steps  int // that may be done although it is held
}

func newStepper() *stepper {
	s := &stepper{}
	s.change.L = &s.mu
	return s
}

func (s *stepper) step(string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held && s.steps == 0 {
		s.change.Wait()
	}
	s.steps = max(0, s.steps-1)
}

// hold stops the work at its next step but n.
func (s *stepper) hold(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.steps = true, n
	s.change.Broadcast()
}

func (s *stepper) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	s.change.Broadcast()
}

// rig is an index beside the table that it must agree with.
type rig struct {
	tb      testing.TB
	rng     *rand.Rand
	table   *table
	options Options
	index   *Index
	stepper *stepper
	stepped bool     // whether the background work is held
	files   []string // of the segments when the index was closed last
}

// newRig opens an empty index with small generations.
func newRig(tb testing.TB, rng *rand.Rand) *rig {
	tb.Helper()
	r := &rig{tb: tb, rng: rng, table: newTable(rng.Uint64()), stepper: newStepper()}
	r.options = Options{
		Dir: tb.TempDir(), Name: "t", Columns: []Column{{Hashed: true}, {}}, Table: r.table, step: r.stepper.step,
		GenerationRows: 16 + rng.IntN(185), Fanout: 2 + rng.IntN(7), MaxFrozen: 1 + rng.IntN(4),
	}
	r.open()
	tb.Cleanup(r.close)
	return r
}

// reopened is a rig with the rows of this one and files of a crash.
func (r *rig) reopened(dir string) *rig {
	r.tb.Helper()
	c := &rig{tb: r.tb, rng: r.rng, table: r.table, options: r.options, stepper: newStepper()}
	c.options.Dir, c.options.step = dir, c.stepper.step
	c.open()
	return c
}

func (r *rig) open() {
	r.tb.Helper()
	r.stepper.release()
	var err error
	r.index, err = Open(r.tb.Context(), r.table.last(), r.options)
	require.NoError(r.tb, err)
	if r.stepped {
		r.stepper.hold(r.rng.IntN(20))
	}
}

func (r *rig) close() {
	r.stepper.release()
	r.index.stop()
	r.index.done.Wait()
	r.files = nil
	for _, s := range r.index.segments {
		r.files = append(r.files, s.path)
	}
	require.NoError(r.tb, r.index.Close())
}

// crash goes on with the files as they are in the middle of the work.
func (r *rig) crash() {
	r.tb.Helper()
	r.options.Dir = copyFiles(r.tb, r.options.Dir)
	r.close()
}

// add appends rows to the table and the index, sometimes behind a gap.
func (r *rig) add(rows int) {
	r.tb.Helper()
	if r.rng.IntN(10) == 0 {
		r.table.append(r.rng.IntN(3*r.options.GenerationRows), keyMaker{r.rng}.hash(), keyMaker{r.rng}.topic())
		last := r.table.last()
		r.index.Add(last, []uint64{r.table.rows[last-1][hashed]}, []uint64{r.table.rows[last-1][scanned]})
	}
	r.addWithoutGap(rows)
}

func (r *rig) addWithoutGap(rows int) {
	keys := make([][]uint64, 2)
	first := r.table.last() + 1
	for range rows {
		hash, topic := keyMaker{r.rng}.hash(), keyMaker{r.rng}.topic()
		r.table.append(0, hash, topic)
		keys[hashed], keys[scanned] = append(keys[hashed], hash), append(keys[scanned], topic)
	}
	r.index.Add(first, keys...)
}

// check fails when ask finds a difference. It asks again when damage was found
// by it, after that was mended.
func (r *rig) check(ask func() *difference) {
	r.tb.Helper()
	d := ask()
	for range 1000 {
		if d == nil || !errors.Is(d.err, errDamaged) {
			break
		}
		r.stepper.release()
		ctx, cancel := context.WithTimeout(r.tb.Context(), time.Minute)
		require.NoError(r.tb, whole(ctx, r.index), "the damage is not mended")
		cancel()
		d = ask()
	}
	require.Nil(r.tb, d, "last row %d, %+v", r.table.last(), r.options)
	if r.stepped {
		r.stepper.hold(0)
	}
}

func (r *rig) checkAll() {
	r.tb.Helper()
	r.check(func() *difference { return compare(r.index, r.table, r.table.last(), r.rng) })
	r.requireContiguous()
}

// checkSome is checkAll for some of the keys.
func (r *rig) checkSome() {
	r.tb.Helper()
	r.check(func() *difference { return compareSome(r.index, r.table, r.table.last(), r.rng, 300) })
	r.requireContiguous()
}

// requireContiguous requires that the parts of the index follow each other and
// none in memory is larger than it may be.
func (r *rig) requireContiguous() {
	r.tb.Helper()
	x := r.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	next := int64(1)
	for _, s := range x.segments {
		require.Equal(r.tb, next, s.first)
		next = s.last + 1
	}
	for _, g := range append(slices.Clone(x.frozen), x.open) {
		require.Equal(r.tb, next, g.first)
		require.LessOrEqual(r.tb, g.rows(), x.GenerationRows)
		next = g.last() + 1
	}
	require.LessOrEqual(r.tb, next, r.table.last()+1)
}

// damage does something bad to a file of dir and says what.
func damage(tb testing.TB, rng *rand.Rand, dir string) string {
	tb.Helper()
	files := segmentFiles(tb, dir)
	if len(files) == 0 {
		return "nothing to damage"
	}
	path := files[rng.IntN(len(files))]
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) || len(content) == 0 {
		return "nothing to damage any more"
	}
	require.NoError(tb, err)
	at := rng.IntN(len(content))
	to, what := path, ""
	switch rng.IntN(8) {
	case 0:
		what = fmt.Sprintf("flip a bit of byte %d", at)
		content[at] ^= 1 << rng.IntN(8)
	case 1:
		what = fmt.Sprintf("cut off at %d", at)
		content = content[:at]
	case 2:
		what = fmt.Sprintf("zeros behind %d", at)
		clear(content[at:])
	case 3:
		what = "longer than it was"
		content = append(content, make([]byte, 1+rng.IntN(5000))...)
	case 4:
		a, b := at/pageBytes*pageBytes, rng.IntN(len(content))/pageBytes*pageBytes
		what = fmt.Sprintf("page at %d instead of that at %d", b, a)
		copy(content[a:min(a+pageBytes, len(content))], content[b:])
	case 5:
		if err := os.Remove(path); !os.IsNotExist(err) { // a merge may have come first
			require.NoError(tb, err)
		}
		return "remove " + filepath.Base(path)
	case 6:
		to = files[rng.IntN(len(files))]
		what = "content of " + filepath.Base(path)
	case 7:
		first := 1 + rng.Int64N(300)
		to = filepath.Join(dir, segmentFileName("t", first, first+rng.Int64N(300)))
		what = "content of " + filepath.Base(path)
	}
	// In place, because an index that is open reads the same file.
	require.NoError(tb, os.WriteFile(to, content, 0o600))
	return filepath.Base(to) + ": " + what
}
