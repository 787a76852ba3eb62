package apptest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestFault07ASecondProcessIsRefusedWhileTheFirstGoesOn starts servers on the
// data directory of one that is under load.
func TestFault07ASecondProcessIsRefusedWhileTheFirstGoesOn(t *testing.T) {
	seed, dir, l := prove.Seed(t), t.TempDir(), newLedger()
	s := startServer(t, dir)
	run := startLoad(s, l, loadOptions{seed: seed, senders: 16})
	n := prove.Count(t, "second-processes", 3, 100)
	for range n {
		require.Empty(t, notRefused(t, dir, s))
		run.waitStored(t, run.stored.Load()+100)
	}
	run.finish(t)
	l.requireSound(s)
	prove.Report(t, prove.Result{Row: 7, Seed: seed, Figures: []prove.Figure{
		{Name: "second processes refused with 75", Value: float64(n)},
		{Name: "acknowledged meanwhile", Value: float64(l.acked), Unit: "events"},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}})
}

// notRefused starts a second process on the directory of owner and returns how
// it was not refused as it should be.
func notRefused(t *testing.T, dir string, owner *server) (wrong []string) {
	t.Helper()
	second := launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json")
	within(patience, func() bool { return second.ended() || findLine(second.stderr.String(), "serving") != nil })
	second.kill()
	if second.code != 75 {
		wrong = append(wrong, fmt.Sprintf("exit code %d", second.code))
	}
	if !strings.Contains(second.stderr.String(), fmt.Sprintf("in use by process %d on ", owner.pid())) {
		wrong = append(wrong, "it does not say who has the directory")
	}
	return wrong
}

// TestFault07ControlTwoOwnersOfOneDatabaseAreNoticed gives a second process the
// same database under another directory, where the lock file is not: what a
// server does that takes no lock.
func TestFault07ControlTwoOwnersOfOneDatabaseAreNoticed(t *testing.T) {
	dir, other, l := t.TempDir(), t.TempDir(), newLedger()
	s := startServer(t, dir)
	l.publishNew(s, 10)
	for _, file := range []string{"sekali.db", "sekali.db-wal", "sekali.db-shm"} {
		require.NoError(t, os.Link(filepath.Join(dir, file), filepath.Join(other, file)))
	}
	require.Contains(t, notRefused(t, other, s), "exit code -1", "it serves until it is killed")

	second := startServer(t, other)
	l.publishNew(s, 1)
	results, err := second.Publish(t.Context(), numberedAll([]int{10}))
	if err == nil {
		require.Equal(t, sekali.OutcomeStored, results[0].Outcome, "it cannot know what the first has stored")
		l.sending(10)
		l.ack([]int{10}, results)
		requireMistake(t, &l.wrong, "event 10 was answered as new twice")
	} else {
		require.Equal(t, 74, second.wait(), "the second found rows that it had not written")
	}
	prove.Report(t, prove.Result{Row: 7, Control: true, Figures: []prove.Figure{{Name: "second owner noticed", Value: 1}}})
}

// TestFault07RestartStorm starts the server again and again, kills it at any
// time of its start, and publishes a little whenever it gets to serve.
func TestFault07RestartStorm(t *testing.T) {
	seed, dir, l := prove.Seed(t), t.TempDir(), newLedger()
	random := rand.New(rand.NewPCG(seed, 7))
	starts, lived := prove.Count(t, "restarts", 20, 100), 0
	for range starts {
		p := launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json")
		if random.IntN(3) > 0 {
			<-time.After(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
		} else {
			l.publishNew(served(t, p), 10)
			lived++
		}
		require.False(t, p.ended(), "a start fails")
		p.kill()
	}
	l.requireSound(startServer(t, dir))
	prove.Report(t, prove.Result{Row: 7, Seed: seed, Figures: []prove.Figure{
		{Name: "starts", Value: float64(starts)},
		{Name: "killed before they served", Value: float64(starts - lived)},
		{Name: "failed", Value: 0},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}})
}

// TestFault07ACopyOfTheDataIsAServerOfItsOwn starts a server on a copy of the
// directory beside that on the original.
func TestFault07ACopyOfTheDataIsAServerOfItsOwn(t *testing.T) {
	dir, copied, l := t.TempDir(), filepath.Join(t.TempDir(), "copy"), newLedger()
	s := startServer(t, dir)
	l.publishNew(s, 100)
	s.kill()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	twin := newLedger()
	twin.entries, twin.acked = slices.Clone(l.entries), l.acked

	s, second := startServer(t, dir), startServer(t, copied)
	l.publishNew(s, 100)
	twin.publishNew(second, 50)
	l.requireSound(s)
	twin.requireSound(second)
	prove.Report(t, prove.Result{Row: 7, Figures: []prove.Figure{{Name: "servers on copies", Value: 1}}})
}
