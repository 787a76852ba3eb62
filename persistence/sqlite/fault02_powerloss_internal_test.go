package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
	"sekali/persistence/crashvfs"
)

// crashState is the data directory as a loss of power could have left it.
type crashState struct {
	life     *life
	files    crashvfs.Image
	index    crashvfs.Image
	cut      int // operations before the loss
	acked    int // the last step acknowledged before it
	survival crashvfs.Survival
	seed     uint64 // of what is tried on it
}

// verdict is what became of a crash state.
type verdict struct {
	step    int   // whose content the store had
	refused error // the start was refused
	err     error // anything else that is not as promised
}

// lost reports whether acknowledged events are not there, or not served.
func (v *verdict) lost() bool {
	var wrong *wrongStepError
	return errors.As(v.err, &wrong) && wrong.got < wrong.first
}

// explorer makes crash states of lives and has them checked.
type explorer struct {
	t          *testing.T
	r          *rand.Rand
	durability Durability
	faults     crashvfs.Hook // of every life, nil: none
	control    bool          // it is meant to go wrong: no state is saved
	dir        string        // in memory
	lives      int
	seen       map[[2]uint64]bool // sums of images and acknowledged steps

	mu       sync.Mutex
	verdicts int
	next     *crashState // one that passed, from which another life may begin
	nextStep int
	refused  int
	lost     int
	other    int      // wrong in any other way
	wrong    []string // the first of all these, with where they were saved
}

func newExplorer(t *testing.T, seed uint64, d Durability) *explorer {
	return &explorer{
		t: t, r: rand.New(rand.NewPCG(seed, 2)), durability: d, dir: memoryDir(t), seen: make(map[[2]uint64]bool),
	}
}

const (
	thingsPerLife = 40
	statesPerLife = 500
	// generations of lives, each beginning at a crash state of the one before.
	crashesInARow = 4
)

// explore checks so many distinct crash states.
func (x *explorer) explore(states int) {
	x.t.Helper()
	for x.verdicts < states {
		l := x.live()
		found := x.choose(l, min(statesPerLife, states-x.verdicts))
		x.next = nil
		x.checkAll(found)
	}
}

// live runs a store until it is killed by a loss of power: a new one, or one that
// begins with what an earlier loss has left.
func (x *explorer) live() *life {
	x.t.Helper()
	x.lives++
	dir := filepath.Join(x.dir, "life-"+strconv.Itoa(x.lives))
	l := &life{r: x.r, history: newHistory(), faults: x.faults}
	if x.next != nil && x.lives%crashesInARow != 0 {
		require.NoError(x.t, x.next.write(dir))
		l.history = x.next.life.history
		l.history.rewind(x.nextStep)
	}
	l.disk = newCrashDisk(x.t, dir)
	require.NoError(x.t, l.begin(x.t.Context(), dir, faultOptions(x.durability)))
	require.NoError(x.t, l.run(thingsPerLife))
	require.NoError(x.t, l.close())
	require.NoError(x.t, l.disk.Close())
	require.NoError(x.t, os.RemoveAll(dir))
	return l
}

// choose draws up to n crash states at all points of a life, half of them of
// the systematic ones.
func (x *explorer) choose(l *life, n int) []*crashState {
	platter := crashvfs.NewPlatter(l.start)
	ops, acked := l.disk.Ops(), l.base
	var found []*crashState
	for cut := 0; ; cut++ {
		// What one point has too few of, the next ones make up for.
		want := n * (cut + 1) / (len(ops) + 1)
		var systematic []crashvfs.Survival
		if len(found) < want {
			systematic = platter.Systematic()
		}
		for tries := 3 * (want - len(found)); tries > 0 && len(found) < want; tries-- {
			survival := systematic[x.r.IntN(len(systematic))]
			if tries%2 == 0 {
				survival = platter.Random(x.r)
			}
			if s := x.state(l, platter, survival, cut, acked); s != nil {
				found = append(found, s)
			}
		}
		if cut == len(ops) {
			return found
		}
		if ops[cut].Kind == crashvfs.Mark {
			acked = ops[cut].Note
		}
		platter.Apply(ops[cut])
	}
}

// state makes a crash state unless it has been made before.
func (x *explorer) state(l *life, p *crashvfs.Platter, survival crashvfs.Survival, cut, acked int) *crashState {
	files := p.Image(survival)
	key := [2]uint64{files.Sum(), uint64(x.lives)<<32 | uint64(acked)}
	if x.seen[key] {
		return nil
	}
	x.seen[key] = true
	if x.r.IntN(4) == 0 { // never synced, so it may hold anything
		files[databaseFile+"-shm"] = randomBytes(x.r, x.r.IntN(40_000))
	}
	s := &crashState{life: l, files: files, cut: cut, acked: acked, survival: survival, seed: x.r.Uint64()}
	s.index = damagedIndex(x.r, l.indexes[x.r.IntN(len(l.indexes))])
	return s
}

// damagedIndex is an index folder with what a loss of power may have done to
// it, and more: its files are derived, so any of them may be missing, cut off
// or not what was written.
func damagedIndex(r *rand.Rand, index crashvfs.Image) crashvfs.Image {
	damaged := crashvfs.Image{}
	for name, content := range index {
		switch r.IntN(8) {
		case 0: // missing
		case 1:
			damaged[name] = content[:r.IntN(len(content)+1)]
		case 2:
			damaged[name] = flipped(r, content)
		default:
			damaged[name] = content
		}
	}
	return damaged
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// flipped is a copy of b with one bit turned.
func flipped(r *rand.Rand, b []byte) []byte {
	b = append([]byte{}, b...)
	if len(b) > 0 {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return b
}

func (s *crashState) write(dir string) error {
	return errors.Join(s.files.Write(dir), s.index.Write(filepath.Join(dir, indexFolder)))
}

// checkAll checks states on all processors.
func (x *explorer) checkAll(states []*crashState) {
	work := make(chan *crashState)
	var workers sync.WaitGroup
	for w := range runtime.GOMAXPROCS(0) {
		dir := filepath.Join(x.dir, "worker-"+strconv.Itoa(w))
		workers.Go(func() {
			for s := range work {
				x.judge(s, s.check(x.t.Context(), dir, faultOptions(x.durability)))
			}
		})
	}
	for _, s := range states {
		work <- s
	}
	close(work)
	workers.Wait()
}

// judge counts a verdict and keeps what is wrong for another look.
func (x *explorer) judge(s *crashState, v verdict) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.verdicts++
	switch {
	case v.refused != nil:
		x.refused++
	case v.lost():
		x.lost++
	case v.err != nil:
		x.other++
	default:
		if x.next == nil || x.r.IntN(8) == 0 {
			x.next, x.nextStep = s, v.step
		}
		return
	}
	const kept = 5
	if len(x.wrong) >= kept {
		return
	}
	saved := ""
	if !x.control {
		saved = s.save()
	}
	x.wrong = append(x.wrong, fmt.Sprintf("life %d (from batch %d), cut at operation %d, batch %d acknowledged, survived %+v: %v; %s",
		x.lives, s.life.base, s.cut, s.acked, s.survival, errors.Join(v.refused, v.err), saved))
}

// save keeps a state for another look and says where.
func (s *crashState) save() string {
	dir, err := os.MkdirTemp("", "sekali-crash-state-")
	if err == nil {
		err = s.write(dir)
	}
	if err != nil {
		return "it could not be saved: " + err.Error()
	}
	return "it is saved in " + dir
}

// check opens the store on a crash state and holds it against the promise: the
// acknowledged batches are there, whole, with at most the one behind them; the
// database is sound; ids are judged as before; and it can be closed.
func (s *crashState) check(ctx context.Context, dir string, o Options) (v verdict) {
	defer func() { _ = os.RemoveAll(dir) }() // in memory, and made anew for the next
	if v.err = s.write(dir); v.err != nil {
		return v
	}
	return s.open(ctx, dir, o)
}

// open is check on a directory that has the state already.
func (s *crashState) open(ctx context.Context, dir string, o Options) (v verdict) {
	store, err := Open(ctx, dir, o)
	if err != nil {
		return verdict{refused: err}
	}
	defer func() { v.err = errors.Join(v.err, store.Close()) }()
	if v.step, v.err = s.life.history.find(ctx, store, s.acked, s.acked+1); v.err != nil {
		return v
	}
	if v.err = checkIntegrity(ctx, store); v.err == nil {
		v.err = s.resend(ctx, store, v.step)
	}
	return v
}

func checkIntegrity(ctx context.Context, s *Store) error {
	var result string
	if err := s.readers.QueryRowContext(ctx, "pragma integrity_check").Scan(&result); err != nil {
		return fmt.Errorf("check the integrity: %w", err)
	}
	if result != "ok" {
		return fmt.Errorf("integrity_check: %s", result)
	}
	return nil
}

// resend sends some stored events, those of the batch behind the step, which was
// not acknowledged, and a new one.
func (s *crashState) resend(ctx context.Context, store *Store, step int) error {
	r := rand.New(rand.NewPCG(s.seed, 0))
	h := s.life.history
	stored := h.steps[step].events
	next := h.steps[min(step+1, h.last())].events
	b := sekali.Batch{At: h.at}
	var want []sekali.Decision
	for range min(stored, 6) {
		e := h.events[r.IntN(stored)]
		b.Events = append(b.Events, e.Event)
		want = append(want, sekali.Decision{Seq: e.Seq, Fingerprint: e.Fingerprint()})
	}
	for _, e := range h.events[stored:next] {
		b.Events = append(b.Events, e.Event)
		want = append(want, sekali.Decision{Stored: true, Seq: e.Seq})
	}
	b.Events = append(b.Events, sekali.Event{Topic: "after", ID: "the crash", Source: "sender", Payload: []byte("{}"), Time: h.at})
	want = append(want, sekali.Decision{Stored: true, Seq: int64(next) + 1})
	got, err := appendPatiently(ctx, store, b)
	if err != nil {
		return fmt.Errorf("send again: %w", err)
	}
	if !reflect.DeepEqual(got.Decisions, want) {
		return fmt.Errorf("sent again, the store decided %+v, not %+v", got.Decisions, want)
	}
	return nil
}

// appendPatiently tries again while the store says that a damaged part of the
// index is being rebuilt.
func appendPatiently(ctx context.Context, s *Store, b sekali.Batch) (sekali.Appended, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		got, err := s.AppendBatch(ctx, b)
		if sekali.CodeOf(err) != sekali.CodeStorageBusy || ctx.Err() != nil {
			return got, err
		}
		<-again.C
	}
}

func (x *explorer) report(seed uint64) {
	x.t.Helper()
	prove.Report(x.t, prove.Result{Row: 2, Seed: seed, Control: x.control, Figures: []prove.Figure{
		{Name: "states", Value: float64(x.verdicts)},
		{Name: "lives", Value: float64(x.lives)},
		{Name: "states with lost acknowledged events", Value: float64(x.lost)},
		{Name: "starts refused", Value: float64(x.refused)},
		{Name: "states wrong in another way", Value: float64(x.other)},
	}})
}

func TestFault02PowerLossStates(t *testing.T) {
	seed := prove.Seed(t)
	x := newExplorer(t, seed, Durable)
	x.explore(prove.Count(t, "power-loss-states", powerLossStates, 200_000))
	x.report(seed)
	require.Empty(t, x.wrong)
}

// TestFault02ControlRelaxedLoses: without the sync of each commit, acknowledged
// events are lost; but what is there is what once was stored.
func TestFault02ControlRelaxedLoses(t *testing.T) {
	seed := prove.Seed(t)
	x := newExplorer(t, seed, Relaxed)
	x.control = true
	x.explore(prove.Count(t, "power-loss-control", powerLossControls, 2000))
	x.report(seed)
	require.Positive(t, x.lost)
	require.Zero(t, x.refused+x.other, x.wrong)
}

// TestFault02ControlIgnoredSyncsLose has a disk that says it has synced the WAL
// and has not.
func TestFault02ControlIgnoredSyncsLose(t *testing.T) {
	seed := prove.Seed(t)
	x := newExplorer(t, seed, Durable)
	x.control = true
	x.faults = func(o crashvfs.Op) *crashvfs.Fault {
		if o.Kind == crashvfs.Sync && o.File == databaseFile+"-wal" {
			return &crashvfs.Fault{}
		}
		return nil
	}
	x.explore(prove.Count(t, "power-loss-control", powerLossControls, 2000))
	x.report(seed)
	require.Positive(t, x.lost+x.refused)
}
