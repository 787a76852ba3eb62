package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
	"sekali/persistence/crashvfs"
)

// rot is a way in which a disk, or somebody, damages a data directory.
type rot struct {
	name  string
	share int // of 100 damages
	// damage changes the copy of a directory, and says how; it may change the
	// files in dir by programs instead.
	damage  func(r *rand.Rand, files, index crashvfs.Image) string
	inPlace func(r *rand.Rand, dir string) (string, error)
}

var rots = []rot{
	{name: "WAL flip", share: 34, damage: flipIn(walName)},
	{name: "WAL cut", share: 10, damage: func(r *rand.Rand, files, _ crashvfs.Image) string {
		return cut(r, files, walName)
	}},
	{name: "WAL zeroed", share: 6, damage: func(r *rand.Rand, files, _ crashvfs.Image) string {
		at := r.IntN(len(files[walName]))
		files[walName] = append(bytes.Clone(files[walName][:at]), make([]byte, len(files[walName])-at)...)
		return fmt.Sprintf("zeros from %d", at)
	}},
	{name: "WAL removed", share: 2, damage: func(_ *rand.Rand, files, _ crashvfs.Image) string {
		delete(files, walName)
		return "removed"
	}},
	{name: "page flip", share: 22, damage: flipIn(databaseFile)},
	{name: "page zeroed", share: 2, damage: func(r *rand.Rand, files, _ crashvfs.Image) string {
		b := bytes.Clone(files[databaseFile])
		at := r.IntN(len(b)/4096) * 4096
		clear(b[at : at+4096])
		files[databaseFile] = b
		return fmt.Sprintf("page at %d", at)
	}},
	{name: "database cut", share: 2, damage: func(r *rand.Rand, files, _ crashvfs.Image) string {
		return cut(r, files, databaseFile)
	}},
	{name: "row changed", share: 12, inPlace: changeRow},
	{name: "index flip", share: 6, damage: func(r *rand.Rand, _, index crashvfs.Image) string {
		name := slices.Sorted(maps.Keys(index))[r.IntN(len(index))]
		index[name] = flipped(r, index[name])
		return name
	}},
	{name: "mark flip", share: 4, damage: flipIn("sekali.mark")},
}

func flipIn(name string) func(*rand.Rand, crashvfs.Image, crashvfs.Image) string {
	return func(r *rand.Rand, files, _ crashvfs.Image) string {
		old := files[name]
		files[name] = flipped(r, old)
		for i := range old {
			if old[i] != files[name][i] {
				return fmt.Sprintf("byte %d of %d, %02x to %02x", i, len(old), old[i], files[name][i])
			}
		}
		return "empty"
	}
}

func cut(r *rand.Rand, files crashvfs.Image, name string) string {
	size := r.IntN(len(files[name]))
	files[name] = files[name][:size]
	return fmt.Sprintf("to %d bytes", size)
}

// changeRow changes one value of one row, as a program would that knows
// nothing of checksums and counts.
func changeRow(r *rand.Rand, dir string) (how string, err error) {
	db, err := sql.Open("sqlite", fileURI(filepath.Join(dir, databaseFile), "_pragma=wal_autocheckpoint(0)"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	changes := []string{
		"update events set payload = cast(payload || ' ' as blob) where seq = ",
		"update events set event_id = event_id || 'x' where seq = ",
		"update events set source = 'other' where seq = ",
		"update events set event_time = event_time + 1 where seq = ",
		"update events set processed_at = processed_at - 1 where seq = ",
		"update events set batch = batch + 1 where seq = ",
		"update events set checksum = checksum + 1 where seq = ",
		"update events set topic_id = 1 + topic_id % 3 where seq = ",
		"delete from events where seq = ",
		"update topics set unique_count = unique_count - 1 where id = 1 + 0 * ",
		"update topics set duplicate_count = duplicate_count + 1 where id = 1 + 0 * ",
		"update topics set name = name || 'x' where id = 1 + 0 * ",
		"update duplicates set count = count + 1 where id = 1 + 0 * ",
	}
	var last int64
	if err := db.QueryRow("select max(seq) from events").Scan(&last); err != nil {
		return "", err
	}
	how = changes[r.IntN(len(changes))] + strconv.FormatInt(1+r.Int64N(last), 10)
	_, err = db.Exec(how)
	return how, err
}

// victim is a data directory as kill -9 leaves it, with acknowledged events in
// the database and in the log.
type victim struct {
	life         *life
	files, index crashvfs.Image
}

func newVictim(t *testing.T, r *rand.Rand, dir string) *victim {
	t.Helper()
	l := &life{r: r, history: newHistory(), disk: newCrashDisk(t, dir)}
	require.NoError(t, l.begin(t.Context(), dir, faultOptions(Durable)))
	for range 20 {
		require.NoError(t, l.append())
	}
	if r.IntN(2) == 0 { // the log begins anew: what it held before lies behind what it holds
		require.NoError(t, l.store.renewWAL())
	} else {
		require.NoError(t, l.store.inTurn(func() error { _, err := l.store.checkpoint(truncate); return err }))
	}
	for range 10 + r.IntN(20) {
		require.NoError(t, l.append())
		if r.IntN(10) == 0 {
			_, err := l.store.moveAside()
			require.NoError(t, err)
		}
	}
	files, err := crashvfs.ReadImage(dir)
	require.NoError(t, err)
	v := &victim{life: l, files: files}
	require.Eventually(t, func() bool { // segments are written in the background
		v.index = indexImage(dir)
		maps.DeleteFunc(v.index, func(name string, _ []byte) bool { return strings.HasSuffix(name, ".tmp") })
		return len(v.index) > 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, l.store.Close())
	require.NoError(t, l.disk.Close())
	_, o, err := v.try(t.Context(), r, &rot{}, dir+"-whole")
	require.NoError(t, errors.Join(err, o.refused, o.altered, o.verified), "undamaged, everything is found in order")
	return v
}

// outcome is what was seen of one damage.
type outcome struct {
	refused  error // by the start
	verified error // what Verify found
	altered  error // the store opened, and this is not what it should hold
}

// silent reports whether wrong data went unnoticed.
func (o *outcome) silent() bool { return o.altered != nil && o.verified == nil }

// harmed reports whether the damage did anything.
func (o *outcome) harmed() bool { return o.altered != nil || o.refused != nil }

// try damages a copy of the victim in dir and looks at what is noticed.
func (v *victim) try(ctx context.Context, r *rand.Rand, k *rot, dir string) (how string, o outcome, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files, index := maps.Clone(v.files), maps.Clone(v.index)
	if r.IntN(2) == 0 { // a restart of the machine
		delete(files, databaseFile+"-shm")
	}
	if k.damage != nil {
		how = k.damage(r, files, index)
	}
	s := &crashState{life: v.life, files: files, index: index, acked: v.life.history.last(), seed: r.Uint64()}
	if err := s.write(dir); err != nil {
		return how, o, err
	}
	if k.inPlace != nil {
		if how, err = k.inPlace(r, dir); err != nil {
			return how, o, err
		}
	}
	o.verified = findings(ctx, dir)
	verdict := s.open(ctx, dir, faultOptions(Durable))
	o.refused, o.altered = verdict.refused, verdict.err
	return how, o, nil
}

// findings is what Verify finds in dir, as an error.
func findings(ctx context.Context, dir string) error {
	report, err := Verify(ctx, dir, VerifyOptions{Workers: 1})
	if err != nil || report.Sound() {
		return err
	}
	return fmt.Errorf("%+v", report.Findings)
}

// tally counts the outcomes of one kind of damage.
type rotTally struct{ tried, refused, altered, verified, silent, unseen int }

// rotting damages victims and counts what is noticed.
type rotting struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	tallies map[string]*rotTally
	wrong   []string
}

// run does so many damages, the kinds by their share.
func (x *rotting) run(seed uint64, n int) {
	const perVictim = 50
	r := rand.New(rand.NewPCG(seed, 6))
	kinds := drawKinds(r, n)
	for life := 0; len(kinds) > 0; life++ {
		now := kinds[:min(perVictim, len(kinds))]
		kinds = kinds[len(now):]
		v := newVictim(x.t, r, filepath.Join(x.dir, "victim-"+strconv.Itoa(life)))
		var workers sync.WaitGroup
		for w := range runtime.GOMAXPROCS(0) {
			rw := rand.New(rand.NewPCG(r.Uint64(), 6))
			workers.Go(func() {
				for i := w; i < len(now); i += runtime.GOMAXPROCS(0) {
					how, o, err := v.try(x.t.Context(), rw, now[i], filepath.Join(x.dir, "copy-"+strconv.Itoa(w)))
					x.add(now[i].name, how, &o, err)
				}
			})
		}
		workers.Wait()
	}
}

// drawKinds makes a list of n kinds by their shares, in any order.
func drawKinds(r *rand.Rand, n int) []*rot {
	var kinds []*rot
	for i := range rots {
		for range max(1, rots[i].share*n/100) {
			kinds = append(kinds, &rots[i])
		}
	}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	return kinds
}

func (x *rotting) add(kind, how string, o *outcome, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.tallies[kind]
	if t == nil {
		t = &rotTally{}
		x.tallies[kind] = t
	}
	t.tried++
	if o.refused != nil {
		t.refused++
	}
	if o.altered != nil {
		t.altered++
	}
	if o.verified != nil {
		t.verified++
	}
	if o.silent() {
		t.silent++
	}
	if o.harmed() && o.verified == nil {
		t.unseen++
	}
	if err != nil || o.harmed() && o.verified == nil {
		x.wrong = append(x.wrong, fmt.Sprintf("%s (%s): refused %v, altered %v, verified %v, %v", kind, how, o.refused, o.altered, o.verified, err))
	}
}

func (x *rotting) report(seed uint64) {
	x.t.Helper()
	var figures []prove.Figure
	for _, kind := range slices.Sorted(maps.Keys(x.tallies)) {
		t := x.tallies[kind]
		for _, f := range []prove.Figure{
			{Name: "tried", Value: float64(t.tried)},
			{Name: "refused at start", Value: float64(t.refused)},
			{Name: "opened with other data", Value: float64(t.altered)},
			{Name: "found by verify", Value: float64(t.verified)},
			{Name: "harmed and not found by verify", Value: float64(t.unseen)},
		} {
			f.Name = kind + ", " + f.Name
			figures = append(figures, f)
		}
	}
	prove.Report(x.t, prove.Result{Row: 6, Seed: seed, Figures: figures})
}

func TestFault06RotIsRefusedOrReported(t *testing.T) {
	seed := prove.Seed(t)
	x := &rotting{t: t, dir: memoryDir(t), tallies: make(map[string]*rotTally)}
	x.run(seed, prove.Count(t, "rot", rotDamages, 9000))
	x.report(seed)
	require.Empty(t, x.wrong)
}

// TestFault06ControlSQLiteAloneLosesSilently opens directories whose log has a
// flipped bit with SQLite alone: it finds nothing wrong, and events are gone.
func TestFault06ControlSQLiteAloneLosesSilently(t *testing.T) {
	seed := prove.Seed(t)
	r := rand.New(rand.NewPCG(seed, 6))
	dir := memoryDir(t)
	victims, flips, lost := prove.Count(t, "rot-control", 4, 40), 0, 0
	for n := range victims {
		v := newVictim(t, r, filepath.Join(dir, "victim-"+strconv.Itoa(n)))
		for range 20 {
			files := maps.Clone(v.files)
			flipIn(walName)(r, files, nil)
			lost += lostToSQLite(t, files, filepath.Join(dir, "copy"), len(v.life.history.events))
			flips++
		}
	}
	prove.Report(t, prove.Result{Row: 6, Seed: seed, Control: true, Figures: []prove.Figure{
		{Name: "flips", Value: float64(flips)}, {Name: "with events silently lost", Value: float64(lost)},
	}})
	require.Positive(t, lost)
}

// lostToSQLite returns 1 when SQLite finds the files in order and there are fewer
// events than were stored.
func lostToSQLite(t *testing.T, files crashvfs.Image, dir string, stored int) int {
	t.Helper()
	require.NoError(t, files.Write(dir))
	defer func() { require.NoError(t, os.RemoveAll(dir)) }()
	db, err := sql.Open("sqlite", fileURI(filepath.Join(dir, databaseFile), ""))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var (
		result string
		events int
	)
	err = errors.Join(db.QueryRowContext(t.Context(), "pragma integrity_check").Scan(&result),
		db.QueryRowContext(t.Context(), "select count(*) from events").Scan(&events))
	if err == nil && result == "ok" && events < stored {
		return 1
	}
	return 0
}
