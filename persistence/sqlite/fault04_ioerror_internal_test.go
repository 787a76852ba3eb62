package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
	"sekali/persistence/crashvfs"
)

// injection makes some operations of a life fail.
type injection struct {
	kind  crashvfs.Kind
	file  string // of that file only; "": of any
	nth   int    // of that kind, from 0
	times int    // how many fail, one after the other
	fault crashvfs.Fault

	mu      sync.Mutex
	disk    *crashvfs.Disk
	seen    int
	failed  []crashvfs.Op // the operations that failed
	behind  int           // how many were recorded before the last of them
	mustEnd bool          // one of them is such that nothing may be acknowledged behind it
}

// hook is the injection's crashvfs.Hook.
func (i *injection) hook(o crashvfs.Op) *crashvfs.Fault {
	if o.Kind != i.kind || i.file != "" && i.file != o.File {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen++
	if n := i.seen - 1; n < i.nth || n >= i.nth+i.times {
		return nil
	}
	i.failed, i.behind = append(i.failed, o), len(i.disk.Ops())
	i.mustEnd = i.mustEnd || i.endsStore(o)
	fault := i.fault
	return &fault
}

// endsStore reports whether the store has to stop when o fails in this way: it
// no longer knows what is on the disk of what it has written.
func (i *injection) endsStore(o crashvfs.Op) bool {
	if o.File != databaseFile && o.File != databaseFile+"-wal" || i.fault.Hidden {
		return false
	}
	switch o.Kind {
	case crashvfs.Write:
		return i.fault.Err == syscall.EIO
	case crashvfs.Sync, crashvfs.WriteBack:
		return true
	default:
		return false
	}
}

// happened returns how many operations have failed, and whether the store has to
// stop.
func (i *injection) happened() (n int, mustEnd bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.failed), i.mustEnd
}

func (i *injection) String() string {
	return fmt.Sprintf("%s %d to %d end with %v (hidden: %v, of which %d bytes were done): %v",
		i.kind, i.nth, i.nth+i.times-1, i.fault.Err, i.fault.Hidden, i.fault.Part, i.failed)
}

// newStore forgets what ended the store before: a new one has read again what is
// on the disk.
func (i *injection) newStore() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mustEnd = false
}

// trial is a life with an injection, in which the sender sends what was not
// acknowledged again.
type trial struct {
	*life
	injection *injection
	ended     bool          // the store has said that it refuses all writes
	stops     int           // how many have
	unsure    *sekali.Batch // sent and not acknowledged
	acked     int           // the last step acknowledged
}

const thingsPerTrial = 12

// run lives with the injection, and one time of two on behind it, as after a
// restart by an operator. What it returns is not as promised.
func (t *trial) run(ctx context.Context, dir string) error {
	if err := t.begin(ctx, dir, faultOptions(Durable)); err != nil {
		return t.startFailed(err)
	}
	for range thingsPerTrial {
		if err := t.step(); err != nil {
			return err
		}
	}
	t.disk.SetHook(nil)
	if t.r.IntN(2) == 0 {
		return t.recovers()
	}
	for range 4 {
		if err := errors.Join(t.restart(), t.recovers()); err != nil {
			return err
		}
	}
	return nil
}

// startFailed accepts an error of Open that the injection explains.
func (t *trial) startFailed(err error) error {
	t.store = nil
	if n, _ := t.injection.happened(); n == 0 {
		return fmt.Errorf("the start failed, although nothing else did: %w", err)
	}
	return nil
}

// step does one thing. Errors are what the injection is for; to acknowledge
// behind one that ends the store is not.
func (t *trial) step() error {
	thing := t.r.IntN(16)
	if t.store == nil || thing == 0 || t.ended && t.r.IntN(2) == 0 {
		return t.restart()
	}
	switch thing {
	case 1:
		_, err := t.store.moveAside()
		t.saw(err)
	case 2:
		t.saw(t.store.renewWAL())
	case 3:
		t.saw(t.store.inTurn(func() error { _, err := t.store.checkpoint(truncate); return err }))
	default:
		return t.sendNext()
	}
	return nil
}

// saw notes an error that ends the store.
func (t *trial) saw(err error) {
	if err != nil && sekali.CodeOf(err) == sekali.CodeStorageFailed && !t.ended {
		t.ended = true
		t.stops++
	}
}

// restart closes the store, if there is one, and opens it again.
func (t *trial) restart() error {
	if t.store != nil {
		_ = t.store.Close() // what it could not do is for the next start
	}
	t.ended = false
	t.injection.newStore()
	store, err := Open(t.ctx, t.dir, t.options)
	if err != nil {
		return t.startFailed(err)
	}
	t.store = store
	if t.unsure == nil {
		return nil
	}
	step, err := t.history.find(t.ctx, t.store, t.acked, t.history.last())
	if n, _ := t.injection.happened(); err != nil && n == 0 {
		return err
	}
	if err == nil && step == t.history.last() {
		t.unsure.Duplicates = nil // are counted; the events are sent again
	}
	return nil
}

// sendNext sends a new batch, or the one before when nobody knows what became of
// it.
func (t *trial) sendNext() error {
	if t.unsure == nil {
		b := t.history.draw(t.r)
		t.history.add(b)
		t.unsure = &b
	}
	_, mustEnd := t.injection.happened()
	ended := t.ended || mustEnd
	_, err := t.store.AppendBatch(t.ctx, *t.unsure)
	happened, mustEnd := t.injection.happened()
	t.saw(err)
	switch {
	case err == nil && (ended || mustEnd):
		return errors.New("the store acknowledged a batch after an error that ends it")
	case ended && sekali.CodeOf(err) != sekali.CodeStorageFailed:
		return fmt.Errorf("the store has ended and says %w", err)
	case err != nil && happened == 0:
		return fmt.Errorf("a batch failed, although nothing else did: %w", err)
	case err == nil:
		t.acked, t.unsure = t.history.last(), nil
		t.disk.Mark(t.acked)
	}
	return nil
}

// recovers checks that the store takes batches again when nothing fails any more,
// unless it has ended, and that it holds what it should.
func (t *trial) recovers() error {
	if t.store == nil {
		return nil
	}
	if err := t.sendPatiently(); err != nil {
		return err
	}
	_, err := t.history.find(t.ctx, t.store, t.acked, t.history.last())
	return err
}

// sendPatiently sends until the store has taken a batch or has ended: one that
// was full looks for room now and then.
func (t *trial) sendPatiently() error {
	patience := time.After(time.Minute)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		if err := t.sendNext(); err != nil {
			return err
		}
		_, mustEnd := t.injection.happened()
		if t.unsure == nil || t.ended || mustEnd {
			return nil
		}
		select {
		case <-again.C:
		case <-patience:
			return errors.New("nothing fails any more, and the store still takes no batch")
		}
	}
}

// states are the data directory as a loss of power could leave it at the end, or
// at some time behind the failure, and as it is after the end of the process.
func (t *trial) states(r *rand.Rand) []*crashState {
	ops := t.disk.Ops()
	early := len(ops) - t.injection.behind
	if soon := 20; r.IntN(2) == 0 { // before the next checkpoint
		early = min(early, soon)
	}
	early = t.injection.behind + r.IntN(early+1)
	platter := crashvfs.NewPlatter(t.start)
	acked := 0
	var states []*crashState
	for cut := 0; cut <= len(ops); cut++ {
		if cut == early || cut == len(ops) {
			all := platter.Systematic()
			for _, survival := range []crashvfs.Survival{{}, platter.Random(r), all[r.IntN(len(all))]} {
				states = append(states, &crashState{
					life: t.life, files: platter.Image(survival), index: indexImage(t.dir), cut: cut, acked: acked, survival: survival, seed: r.Uint64(),
				})
			}
		}
		if cut == len(ops) {
			break
		}
		if ops[cut].Kind == crashvfs.Mark {
			acked = ops[cut].Note
		}
		platter.Apply(ops[cut])
	}
	killed := crashvfs.Survival{Names: len(ops)}
	for range ops {
		killed.Fates = append(killed.Fates, ^crashvfs.Fate(0))
	}
	return append(states, &crashState{
		life: t.life, files: platter.Image(killed), index: indexImage(t.dir), cut: len(ops), acked: acked, survival: killed, seed: r.Uint64(),
	})
}

// ioErrors runs trials and counts what they find.
type ioErrors struct {
	t      *testing.T
	dir    string
	hidden bool // the errors are kept from the store: the control

	injections int // that made something fail
	stopped    int // stores that ended
	lost       int // trials with lost acknowledged events
	wrong      []string
}

// weights of the kinds: what reaches the disk matters most.
var failingKinds = []crashvfs.Kind{
	crashvfs.Write, crashvfs.Write, crashvfs.Write, crashvfs.Sync, crashvfs.Sync, crashvfs.Sync, crashvfs.WriteBack, crashvfs.Truncate,
	crashvfs.Read, crashvfs.Open, crashvfs.MapShared, crashvfs.LockShared, crashvfs.Lock, crashvfs.Size, crashvfs.Exists,
	crashvfs.Delete, crashvfs.Rename, crashvfs.SyncDir,
}

// drawInjection draws a failure of one of the operations that a life without any
// has.
func (x *ioErrors) drawInjection(r *rand.Rand, counts map[crashvfs.Kind]int) *injection {
	if x.hidden {
		return &injection{
			kind: crashvfs.Sync, file: walName, nth: r.IntN(thingsPerTrial), times: 1, fault: crashvfs.Fault{Err: syscall.EIO, Hidden: true},
		}
	}
	i := &injection{kind: failingKinds[r.IntN(len(failingKinds))]}
	for counts[i.kind] == 0 {
		i.kind = failingKinds[r.IntN(len(failingKinds))]
	}
	const forGood = 1 << 30
	i.nth, i.times = r.IntN(counts[i.kind]), []int{1, 1, 3, forGood}[r.IntN(4)]
	i.fault.Err = []syscall.Errno{syscall.EIO, syscall.EIO, syscall.ENOSPC}[r.IntN(3)]
	if i.kind == crashvfs.Write && r.IntN(2) == 0 {
		i.fault.Part = r.IntN(4096)
	}
	return i
}

// count counts the operations of a life in which nothing fails.
func (x *ioErrors) count(seed uint64, dir string) map[crashvfs.Kind]int {
	counts := make(map[crashvfs.Kind]int)
	var mu sync.Mutex
	never := &injection{kind: crashvfs.Mark}
	err := x.try(seed, dir, never, func(o crashvfs.Op) *crashvfs.Fault {
		mu.Lock()
		defer mu.Unlock()
		counts[o.Kind]++
		return nil
	})
	require.NoError(x.t, err)
	return counts
}

// try runs one trial and has the states that it leaves checked.
func (x *ioErrors) try(seed uint64, dir string, i *injection, hook crashvfs.Hook) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := rand.New(rand.NewPCG(seed, 4))
	t := &trial{life: &life{r: r, disk: newCrashDisk(x.t, dir), history: newHistory(), faults: hook}, injection: i}
	i.disk = t.disk
	err = t.run(x.t.Context(), dir)
	states := t.states(r)
	t.disk.SetHook(nil)
	if t.store != nil {
		_ = t.store.Close() // after a failure it need not go well
	}
	err = errors.Join(err, t.disk.Close())
	for _, s := range states {
		v := s.check(x.t.Context(), dir+"-after", faultOptions(Durable))
		if v.lost() || v.refused != nil {
			x.lost++
		}
		if verdict := errors.Join(v.refused, v.err); verdict != nil {
			saved := ""
			if !x.hidden {
				saved = s.save()
			}
			err = errors.Join(err, fmt.Errorf("after a loss of power that left %+v: %w; %s", s.survival, verdict, saved))
			break
		}
	}
	if n, _ := i.happened(); n > 0 {
		x.injections++
		x.stopped += t.stops
	}
	return err
}

// run makes so many injections.
func (x *ioErrors) run(seed uint64, injections int) {
	const perLife = 50
	r := rand.New(rand.NewPCG(seed, 3))
	for life := 0; x.injections < injections; life++ {
		lifeSeed := r.Uint64()
		counts := x.count(lifeSeed, filepath.Join(x.dir, "count"))
		for n := range min(perLife, injections-x.injections) {
			i := x.drawInjection(r, counts)
			if err := x.try(lifeSeed, filepath.Join(x.dir, strconv.Itoa(n)), i, i.hook); err != nil {
				x.wrong = append(x.wrong, fmt.Sprintf("life %d, %v: %v", life, i, err))
			}
		}
	}
}

func (x *ioErrors) report(seed uint64) {
	x.t.Helper()
	prove.Report(x.t, prove.Result{Row: 4, Seed: seed, Control: x.hidden, Figures: []prove.Figure{
		{Name: "injections", Value: float64(x.injections)},
		{Name: "stores stopped", Value: float64(x.stopped)},
		{Name: "trials not as promised", Value: float64(len(x.wrong))},
		{Name: "states with lost acknowledged events", Value: float64(x.lost)},
	}})
}

func TestFault04IOErrorsStopTheStoreOrAreSaid(t *testing.T) {
	seed := prove.Seed(t)
	x := &ioErrors{t: t, dir: memoryDir(t)}
	x.run(seed, prove.Count(t, "io-errors", ioErrorInjections, 10_000))
	x.report(seed)
	require.Empty(t, x.wrong)
}

// TestFault04ControlARetriedSyncLoses keeps a failed sync from the store, as
// if it had tried again and believed the second answer.
func TestFault04ControlARetriedSyncLoses(t *testing.T) {
	seed := prove.Seed(t)
	x := &ioErrors{t: t, dir: memoryDir(t), hidden: true}
	for tries := prove.Count(t, "io-errors-control", 500, 500); x.lost == 0 && x.injections < tries; {
		x.run(seed, x.injections+10)
		seed++
	}
	x.report(seed)
	require.Positive(t, x.lost)
}

// TestABatchIsAcknowledgedWhenOnlyTheMarkFindsTheDiskFull is what the injected
// errors found: the batch was stored and refused, and sent again its tallies
// were counted twice.
func TestABatchIsAcknowledgedWhenOnlyTheMarkFindsTheDiskFull(t *testing.T) {
	dir := t.TempDir()
	l := &life{disk: newCrashDisk(t, dir), history: newHistory()}
	require.NoError(t, l.begin(t.Context(), dir, faultOptions(Durable)))
	l.disk.SetHook(func(o crashvfs.Op) *crashvfs.Fault {
		if o.File != markName && o.File != probeName {
			return nil
		}
		return &crashvfs.Fault{Err: syscall.ENOSPC}
	})
	mustAppend(t, l.store, batchOf("t", 0, 5, 10))
	_, err := l.store.AppendBatch(t.Context(), batchOf("t", 5, 5, 10))
	require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageFull})
	l.disk.SetHook(nil)
	require.Eventually(t, func() bool { return l.store.Ready() == nil }, time.Minute, time.Millisecond)
	mustAppend(t, l.store, batchOf("t", 5, 5, 10))
	requireUnique(t, l.store, 10)
	require.NoError(t, l.store.Close())
	require.NoError(t, l.disk.Close())
}
