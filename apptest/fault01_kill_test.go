package apptest_test

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// TestFault01KillUnderLoad kills the server with SIGKILL again and again, at
// any time: while 64 senders publish, while it checkpoints, while it writes a
// segment of the index, and while it recovers from the kill before. Nothing
// that was acknowledged may be missing or there twice, the counts must be
// exact, and what got no answer is counted once when it is sent again.
func TestFault01KillUnderLoad(t *testing.T) {
	seed := prove.Seed(t)
	kills := prove.Count(t, "kills", 20, 1000)
	total := &killed{random: rand.New(rand.NewPCG(seed, 1)), seed: seed, points: make(map[string]int)}
	for total.kills() < kills {
		total.oneDirectory(t, min(kills-total.kills(), 100))
	}
	require.Greater(t, total.acked, 50*kills, "a load worth the name")
	slices.Sort(total.ready)
	figures := []prove.Figure{
		{Name: "kills", Value: float64(kills)},
		{Name: "acknowledged", Value: float64(total.acked), Unit: "events"},
		{Name: "without an answer", Value: float64(total.unknown), Unit: "events"},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
		{Name: "ready after a kill, median", Value: total.ready[len(total.ready)/2].Seconds(), Unit: "s"},
		{Name: "ready after a kill, longest", Value: total.ready[len(total.ready)-1].Seconds(), Unit: "s"},
	}
	for _, point := range killPoints {
		figures = append(figures, prove.Figure{Name: "killed " + point, Value: float64(total.points[point])})
	}
	prove.Report(t, prove.Result{Row: 1, Seed: seed, Figures: figures})
}

// killPoints are what the server is doing when it is killed.
var killPoints = []string{"under load", "while checkpointing", "while writing a segment", "while starting"}

// killed sums up what the kills found.
type killed struct {
	random         *rand.Rand
	seed           uint64
	points         map[string]int
	acked, unknown int
	ready          []time.Duration
}

func (k *killed) kills() (n int) {
	for _, times := range k.points {
		n += times
	}
	return n
}

// oneDirectory kills servers of one data directory n times.
func (k *killed) oneDirectory(t *testing.T, n int) {
	t.Helper()
	dir, l := t.TempDir(), newLedger()
	last := k.kills() + n
	for k.kills() < last {
		if k.kills() > 0 && k.random.IntN(4) == 0 {
			k.whileStarting(t, dir)
			continue
		}
		s := k.start(t, dir)
		l.requireGrown(s)
		l.resend(s)
		k.underLoad(t, s, dir, l)
	}
	s := k.start(t, dir)
	l.requireSound(s)
	l.resend(s)
	l.requireGrown(s)
	k.acked += l.acked
	s.kill()
}

// start starts the server and notes how long it takes until it serves.
func (k *killed) start(t *testing.T, dir string) *server {
	t.Helper()
	launched := time.Now()
	s := startServer(t, dir)
	if k.kills() > 0 {
		k.ready = append(k.ready, time.Since(launched))
	}
	return s
}

// whileStarting kills a server between its start and twice the time that the
// last start took.
func (k *killed) whileStarting(t *testing.T, dir string) {
	t.Helper()
	longest := 100 * time.Millisecond
	if len(k.ready) > 0 {
		longest = 2 * k.ready[len(k.ready)-1]
	}
	s := launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json")
	<-time.After(time.Duration(k.random.Int64N(int64(longest))))
	require.False(t, s.ended(), "it does not start")
	s.kill()
	k.points["while starting"]++
}

// underLoad lets the senders begin and kills the server at one of the points.
// A segment begins each quarter of a million events: to wait for that takes
// longer than a commit may.
func (k *killed) underLoad(t *testing.T, s *server, dir string, l *ledger) {
	t.Helper()
	run := startLoad(s, l, loadOptions{seed: k.seed + uint64(k.kills()), batch: prove.Count(t, "kill-batch", 50, 200)})
	run.waitAnswers(t, 50)
	point := k.aim(t, dir)
	s.kill()
	run.wait(t)
	k.points[point]++
	k.unknown += len(l.unknown())
}

// aim returns what the server is doing now, when it is to be killed.
func (k *killed) aim(t *testing.T, dir string) string {
	t.Helper()
	database := filepath.Join(dir, "sekali.db")
	before := modified(t, database)
	switch choice := k.random.IntN(10); {
	case choice == 0 && prove.Release() && within(10*time.Second, func() bool { return writesSegment(t, dir) }):
		return "while writing a segment"
	case choice < 4 && within(10*time.Second, func() bool { return modified(t, database) != before }):
		return "while checkpointing"
	}
	longest := time.Duration(prove.Count(t, "kill-milliseconds", 600, 1500)) * time.Millisecond
	<-time.After(time.Duration(k.random.Int64N(int64(longest))))
	return "under load"
}

// within looks for d at most until holds is true, as often as it can.
func within(d time.Duration, holds func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); time.Now().Before(deadline); <-tick.C {
		if holds() {
			return true
		}
	}
	return false
}

func modified(t testing.TB, file string) time.Time {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.ModTime()
}

// writesSegment reports whether a segment of the index is being written.
func writesSegment(t testing.TB, dir string) bool {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "index"))
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(f fs.DirEntry) bool { return strings.HasSuffix(f.Name(), ".tmp") })
}

// TestFault01ControlAnOlderCopyOfTheDataIsNoticed puts the data directory back
// to what it was before the last events: what a server leaves that answers
// before it has committed.
func TestFault01ControlAnOlderCopyOfTheDataIsNoticed(t *testing.T) {
	dir, older, l := t.TempDir(), filepath.Join(t.TempDir(), "older"), newLedger()
	s := startServer(t, dir)
	l.publishNew(s, 100)
	s.kill()
	require.NoError(t, os.CopyFS(older, os.DirFS(dir)))

	s = startServer(t, dir)
	l.requireSound(s)
	l.publishNew(s, 1)
	s.kill()
	s = startServer(t, dir)
	l.requireSound(s)

	behind := startServer(t, older)
	l.sound = new(reading)
	requireMistake(t, l.compare(behind), "event 100 was acknowledged with seq 101 and is at 0")
	prove.Report(t, prove.Result{Row: 1, Control: true, Figures: []prove.Figure{{Name: "lost and noticed", Value: 1, Unit: "event"}}})
}
