package apptest_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestFault07TheSQLiteShellBesideIt reads and writes the database of a server
// under load with SQLite's own shell. Each end of a shell is a chance that it
// takes itself for the last one and removes the log: it must see the server's
// locks. Then a shell keeps the database locked until events are refused, and
// at last the server is killed: what was acknowledged is there.
func TestFault07TheSQLiteShellBesideIt(t *testing.T) {
	seed, dir, l := prove.Seed(t), t.TempDir(), newLedger()
	s := startServer(t, dir)
	run := startLoad(s, l, loadOptions{seed: seed, senders: 16, goOn: []sekali.Code{sekali.CodeStorageBusy, sekali.CodeTimeout}})
	run.waitStored(t, 100)
	shells := prove.Count(t, "shells", 5, 100)
	for range shells {
		beside := openShell(t, dir)
		require.NotEqual(t, "0", beside.do("SELECT count(*) FROM events"))
		beside.do("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS notes (text); INSERT INTO notes VALUES ('beside'); COMMIT")
		require.Equal(t, "ok", beside.do("PRAGMA quick_check"))
		beside.close()
		run.waitStored(t, run.stored.Load()+50)
	}

	holder := openShell(t, dir)
	holder.do("BEGIN IMMEDIATE")
	require.Eventually(t, func() bool { return run.refused(sekali.CodeStorageBusy) > 0 }, patience, shortly)
	stored := run.stored.Load()
	holder.do("ROLLBACK")
	run.waitStored(t, stored+100)
	s.kill()
	run.wait(t)
	holder.close()

	s = startServer(t, dir)
	l.requireSound(s)
	l.resend(s)
	l.requireGrown(s)
	prove.Report(t, prove.Result{Row: 7, Seed: seed, Figures: []prove.Figure{
		{Name: "shells that read, wrote and ended", Value: float64(shells)},
		{Name: "acknowledged meanwhile", Value: float64(l.acked), Unit: "events"},
		{Name: "refused with storage_busy while locked", Value: float64(run.refused(sekali.CodeStorageBusy)), Unit: "requests"},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}})
}

// TestFault07ControlAShellThatTakesARowIsNoticed removes one event behind the
// server's back: the next start must see it, and say which it was.
func TestFault07ControlAShellThatTakesARowIsNoticed(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	s := startServer(t, dir)
	l.publishNew(s, 10)
	s.kill()
	beside := openShell(t, dir)
	beside.do("DELETE FROM events WHERE seq = 5")
	beside.close()
	next := run(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	require.Equal(t, 74, next.code)
	require.Contains(t, next.stderr.String(), "the events from 5 to 5 are missing")
	prove.Report(t, prove.Result{Row: 7, Control: true, Figures: []prove.Figure{{Name: "taken and noticed", Value: 1, Unit: "event"}}})
}

// shell is a sqlite3 shell with the database of a server open.
type shell struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Scanner
	err output
}

func openShell(t testing.TB, dir string) *shell {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		prove.CannotRun(t, 7, "sqlite3", err.Error())
	}
	cmd := exec.CommandContext(t.Context(), "sqlite3", "-bail", "-cmd", ".timeout 60000", filepath.Join(dir, "sekali.db"))
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	s := &shell{t: t, in: in, out: bufio.NewScanner(out)}
	cmd.Stderr = &s.err
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() }) // it may have ended already
	return s
}

// do runs statements and returns the last line of what they print.
func (s *shell) do(sql string) (last string) {
	s.t.Helper()
	_, err := io.WriteString(s.in, sql+";\nSELECT 'done';\n")
	require.NoError(s.t, err)
	for s.out.Scan() {
		if s.out.Text() == "done" {
			return last
		}
		last = s.out.Text()
	}
	require.Fail(s.t, "the shell ended", "%s: %s", sql, &s.err)
	return ""
}

func (s *shell) close() {
	s.t.Helper()
	require.NoError(s.t, s.in.Close())
	require.False(s.t, s.out.Scan(), s.out.Text())
}
