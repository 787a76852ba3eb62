package rowindex

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fill adds rows until no more generations may wait for their segments.
func (r *rig) fill() {
	r.tb.Helper()
	for range r.options.MaxFrozen + 1 {
		r.add(r.options.GenerationRows)
	}
}

// requireFailing waits until Ready says why segments cannot be written, and
// requires that answers are right meanwhile.
func (r *rig) requireFailing(as error) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(r.tb.Context(), time.Minute)
	defer cancel()
	require.ErrorIs(r.tb, r.index.Ready(ctx), as)
	r.checkAll()
}

// requireRecovery waits until Ready has no objection any more.
func (r *rig) requireRecovery() {
	r.tb.Helper()
	require.Eventually(r.tb, func() bool { return r.index.Ready(r.tb.Context()) == nil }, time.Minute, time.Millisecond)
	r.checkAll()
	idle(r.tb, r.index)
	r.close()
	r.open()
	r.checkAll()
}

func TestIndexRecoversWhenItsFolderComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.add(3 * r.options.GenerationRows)
	idle(t, r.index)
	require.NoError(t, os.RemoveAll(r.options.Dir))
	r.fill()
	r.requireFailing(os.ErrNotExist)
	require.NoError(t, os.Mkdir(r.options.Dir, 0o700))
	require.Eventually(t, func() bool { return r.index.Ready(t.Context()) == nil }, time.Minute, time.Millisecond)
	idle(t, r.index)

	// What failed once is no reason to refuse any more.
	r.stepper.hold(0)
	r.fill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.index.Ready(ctx), context.Canceled)
	r.stepper.release()
	r.requireRecovery()
}

func TestReadyWaitsForRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.stepper.hold(0)
	require.NoError(t, r.index.Ready(t.Context()))
	r.fill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.index.Ready(ctx), context.Canceled, "it waits")
	r.stepper.release()
	require.NoError(t, r.index.Ready(t.Context()))
}

func TestClosedIndexSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.close()
	r.options.step = func(string) { <-r.index.ctx.Done() }
	r.open()
	r.fill()
	waited := make(chan error)
	go func() { waited <- r.index.Ready(context.WithoutCancel(t.Context())) }()
	r.index.stop()
	r.index.done.Wait()
	changed := r.index.changed
	require.NoError(t, r.index.Close())
	require.Error(t, <-waited)
	select {
	case <-changed:
	default:
		t.Fatal("Close does not wake who waits")
	}
	_, err := r.index.Find(nil, hashed, 1)
	require.ErrorIs(t, err, errClosed)
	_, err = r.index.Scan(nil, scanned, 1, 0, false, 1)
	require.ErrorIs(t, err, errClosed)
	require.ErrorIs(t, r.index.Ready(t.Context()), errClosed)
	require.NoError(t, r.index.Close())
}

// failingTable fails from some call on.
type failingTable struct {
	*table
	calls atomic.Int64 // that succeed; builds and merges run side by side
}

var errTable = errors.New("the table fails")

func (f *failingTable) fail() error {
	if f.calls.Add(-1) < 0 {
		return errTable
	}
	return nil
}

func (f *failingTable) Scan(ctx context.Context, first, last int64, add func(int64, []uint64)) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.table.Scan(ctx, first, last, add)
}

func (f *failingTable) Stamp(ctx context.Context, row int64) (uint64, error) {
	if err := f.fail(); err != nil {
		return 0, err
	}
	return f.table.Stamp(ctx, row)
}

func TestOpenThatFailsLeavesTheFilesAndNothingElse(t *testing.T) {
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.close()
	r.options.GenerationRows, r.options.Fanout, r.options.MaxFrozen = 50, 4, 1
	r.open()
	r.add(1000)
	idle(t, r.index)
	r.add(200)
	r.close()
	files := segmentFiles(t, r.options.Dir)
	removed := files[0] // so that there is something to rebuild
	require.NoError(t, os.Remove(removed))
	descriptors, _ := filepath.Glob("/proc/self/fd/*")
	for calls := 0; ; calls++ {
		options := r.options
		failing := &failingTable{table: r.table}
		failing.calls.Store(int64(calls))
		options.Table = failing
		x, err := Open(t.Context(), r.table.last(), options)
		if err == nil {
			require.NoError(t, x.Close())
			require.Greater(t, calls, len(files))
			break
		}
		require.ErrorIs(t, err, errTable)
		require.Subset(t, segmentFiles(t, r.options.Dir), files[1:])
		now, _ := filepath.Glob("/proc/self/fd/*")
		require.Len(t, now, len(descriptors), "after %d calls files stay open", calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Open(ctx, r.table.last(), r.options)
	require.ErrorIs(t, err, context.Canceled)
	r.open()
	r.checkAll()
}

func TestOpenRefusesImpossibleOptions(t *testing.T) {
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	for name, spoil := range map[string]func(o *Options){
		"no folder":                 func(o *Options) { o.Dir = "" },
		"no name":                   func(o *Options) { o.Name = "" },
		"no table":                  func(o *Options) { o.Table = nil },
		"no columns":                func(o *Options) { o.Columns = nil },
		"too many columns":          func(o *Options) { o.Columns = make([]Column, maxColumns+1) },
		"negative generations":      func(o *Options) { o.GenerationRows = -1 },
		"a fan-out that never ends": func(o *Options) { o.Fanout = 1 },
		"a fan-out beyond all":      func(o *Options) { o.Fanout = math.MaxInt },
		"generations beyond all":    func(o *Options) { o.GenerationRows = math.MaxInt },
		"a negative fan-out":        func(o *Options) { o.Fanout = -1 },
		"negative waiting":          func(o *Options) { o.MaxFrozen = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			options := r.options
			spoil(&options)
			_, err := Open(t.Context(), 0, options)
			require.Error(t, err)
		})
	}
}

func TestIndexesInOneFolderLeaveEachOtherAlone(t *testing.T) {
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.add(3 * r.options.GenerationRows)
	idle(t, r.index)
	r.close()
	files := segmentFiles(t, r.options.Dir)
	stranger := filepath.Join(r.options.Dir, "t-notes.tmp")
	require.NoError(t, os.WriteFile(stranger, nil, 0o600))

	other := r.options
	other.Name, other.step = "t-u", nil
	for _, options := range []Options{other, r.options, other} {
		x, err := Open(t.Context(), r.table.last(), options)
		require.NoError(t, err)
		idle(t, x)
		require.Nil(t, compare(x, r.table, r.table.last(), r.rng))
		require.NoError(t, x.Close())
		require.Subset(t, segmentFiles(t, r.options.Dir), append(files, stranger))
	}
	r.open()
}

func TestRepairDoesNotWaitForAMerge(t *testing.T) {
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.close()
	merging, merged, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once, then sync.Once
	r.options.GenerationRows, r.options.Fanout = 100, 2
	r.options.step = func(step string) {
		switch step {
		case "merging":
			once.Do(func() { close(merging) })
			<-goOn
		case "merged":
			then.Do(func() { close(merged) })
		}
	}
	r.open()
	r.addWithoutGap(2 * r.options.GenerationRows)
	<-merging
	file, err := os.OpenFile(segmentFiles(t, r.options.Dir)[0], os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("damage"), headerBytes)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	d := compare(r.index, r.table, r.table.last(), r.rng)
	require.ErrorIs(t, d.err, ErrRebuilding)
	require.ErrorIs(t, r.index.Ready(t.Context()), ErrRebuilding)

	mended := make(chan error)
	go func() { mended <- whole(context.WithoutCancel(t.Context()), r.index) }()
	close(goOn)
	select {
	case err := <-mended:
		require.NoError(t, err)
	case <-merged:
		t.Fatal("the merge went on")
	}
	r.checkAll()
	idle(t, r.index)
	r.checkAll()
}

// TestAPanicInTheBackgroundIsAnErrorForGood: the process goes on, and nothing
// is taken any more.
func TestAPanicInTheBackgroundIsAnErrorForGood(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"published", "merged"} {
		r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
		r.close()
		r.options.step = func(s string) {
			if s == step {
				panic("planted")
			}
		}
		r.open()
		require.Eventually(t, func() bool {
			if r.index.Ready(t.Context()) == nil {
				r.add(r.options.GenerationRows)
			}
			return r.index.Ready(t.Context()) != nil
		}, time.Minute, time.Millisecond)
		err := r.index.Ready(t.Context())
		require.ErrorIs(t, err, errPanicked)
		require.ErrorContains(t, err, "planted")
		require.NotErrorIs(t, err, ErrBacklog, "it does not pass")
		r.checkAll()
	}
}

func TestAPanicOfALookUpLeavesTheIndexUnlocked(t *testing.T) {
	t.Parallel()
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.add(10)
	key := r.table.keys(0)[0]
	require.Panics(t, func() {
		_ = r.index.FindAll(0, []uint64{key}, func(int, int64) { panic("planted") })
	})
	require.True(t, r.index.mu.TryLock())
	r.index.mu.Unlock()
}
