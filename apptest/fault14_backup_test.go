package apptest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
	"sekali/internal/prove"
)

// TestFault14BackupUnderLoad backs up a directory while its server is under
// load, kills the server, restores the backup elsewhere and serves it: it holds
// everything that was acknowledged before the backup began, nothing that was
// not sent, and knows every id that it holds. Every other backup is whole, the
// others add to the one before.
func TestFault14BackupUnderLoad(t *testing.T) {
	rounds, seed := prove.Count(t, "backups", 3, 100), prove.Seed(t)
	dir, to, l := t.TempDir(), t.TempDir(), newLedger()
	place := filepath.Join(to, "backup-0")
	var before, held, during float64
	for round := range rounds {
		s := startServer(t, dir)
		run := startLoad(s, l, loadOptions{senders: 16, seed: seed + uint64(round)})
		run.waitStored(t, 6000)
		acknowledged := l.acknowledged()
		args := []string{"--incremental"}
		if round%2 == 0 {
			place, args = filepath.Join(to, fmt.Sprint("backup-", round)), nil
		}
		answers := run.answers.Load()
		backup := backUp(t, dir, place, args...)
		during += float64(run.answers.Load() - answers)
		s.kill()
		run.wait(t)
		require.True(t, backup.Online)
		require.Equal(t, round%2 == 1, backup.Incremental)
		require.GreaterOrEqual(t, backup.Manifest.Events, int64(acknowledged.acked))
		before, held = before+float64(acknowledged.acked), held+float64(backup.Manifest.Events)

		requireVerified(t, place)
		restored := filepath.Join(to, fmt.Sprint("restored-", round))
		require.Equal(t, 0, sekaliJSON(t, nil, "restore", "--from", place, "--data-dir", restored))
		requireVerified(t, restored)
		l.requireRestored(startServer(t, restored), acknowledged)
		require.NoError(t, os.RemoveAll(restored))

		s = startServer(t, dir)
		l.requireGrown(s)
		l.resend(s)
		s.kill()
	}
	prove.Report(t, prove.Result{Row: 14, Seed: seed, Figures: []prove.Figure{
		{Name: "backups under load, restored", Value: float64(rounds)},
		{Name: "acknowledged before them", Value: before, Unit: "events"},
		{Name: "held by them", Value: held, Unit: "events"},
		{Name: "answers while they were taken", Value: during, Unit: "requests"},
		{Name: "lost", Value: 0, Unit: "events"},
	}})
}

// acknowledged is a copy of the ledger as it is now.
func (l *ledger) acknowledged() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{entries: slices.Clone(l.entries), acked: l.acked, sound: new(reading)}
}

// requireRestored holds a server on a restored directory against what was
// acknowledged before the backup, and against all that was sent until now.
func (l *ledger) requireRestored(s *server, before *ledger) {
	s.t.Helper()
	restored := l.acknowledged()
	var again []int
	for n := range restored.entries {
		e := &restored.entries[n]
		switch {
		case n < len(before.entries) && before.entries[n].acked != 0:
			again = append(again, n)
		case e.acked != 0: // by a server that had gone on
			e.acked, e.unknown = 0, true
		}
	}
	restored.requireSound(s)
	require.Equal(s.t, restored.sound.last, restored.sound.rows, "seqs without a gap")
	for n, seq := range restored.sound.seqs {
		if acked := l.entries[n].acked; acked != 0 && seq != 0 {
			require.Equal(s.t, acked, seq, "event %d", n)
		}
	}
	again = again[max(0, len(again)-500):]
	for i, r := range s.publish(numberedAll(again)...) {
		require.Equal(s.t, client.Result{Outcome: sekali.OutcomeDuplicate, Seq: int64(l.entries[again[i]].acked)}, r)
	}
	s.kill()
}

// backupResult is what 'sekali backup --output json' prints.
type backupResult struct {
	Online       bool  `json:"online"`
	Incremental  bool  `json:"incremental"`
	EventsCopied int64 `json:"events_copied"`
	Manifest     struct {
		Events  int64 `json:"events"`
		LastSeq int64 `json:"last_seq"`
	} `json:"manifest"`
}

func backUp(t testing.TB, dir, to string, args ...string) (r backupResult) {
	t.Helper()
	require.Equal(t, 0, sekaliJSON(t, &r, slices.Concat([]string{"backup", "--data-dir", dir, "--to", to}, args)...))
	return r
}

// verifyResult is what 'sekali verify --output json' prints.
type verifyResult struct {
	Events   int64 `json:"events"`
	LastSeq  int64 `json:"last_seq"`
	Findings []struct {
		Kind     string   `json:"kind"`
		Count    int64    `json:"count"`
		Examples []string `json:"examples"`
		Advice   string   `json:"advice"`
	} `json:"findings"`
}

func (r *verifyResult) kinds() (kinds []string) {
	for _, f := range r.Findings {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

func requireVerified(t testing.TB, dir string) verifyResult {
	t.Helper()
	var r verifyResult
	require.Equal(t, 0, sekaliJSON(t, &r, "verify", "--data-dir", dir), "%v", r.Findings)
	require.Empty(t, r.Findings)
	return r
}

// sekaliJSON runs a command with JSON output into result, unless that is nil,
// and returns its exit code.
func sekaliJSON(t testing.TB, result any, args ...string) int {
	t.Helper()
	p := run(t, nil, append(args, "--output", "json")...)
	if result != nil && p.stdout.String() != "" {
		require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), result), p.stdout.String())
	}
	return p.code
}

// TestFault14AKilledBackupLeavesTheOlderOneOrTheNewOne kills backups under load
// at random moments, in turn whole ones and incremental ones.
func TestFault14AKilledBackupLeavesTheOlderOneOrTheNewOne(t *testing.T) {
	seed := prove.Seed(t)
	random := rand.New(rand.NewPCG(seed, 14))
	dir, to, l := t.TempDir(), t.TempDir(), newLedger()
	kills := prove.Count(t, "backup-kills", 6, 200)
	place := filepath.Join(to, "incremental")
	s := startServer(t, dir)
	run := startLoad(s, l, loadOptions{senders: 16, seed: seed})
	run.waitStored(t, 6000)
	began := time.Now()
	held := backUp(t, dir, place).Manifest.Events
	usual := time.Since(began)
	killed := 0
	for n := range kills {
		whole := filepath.Join(to, fmt.Sprint("whole-", n))
		args := []string{"backup", "--data-dir", dir, "--to", whole}
		if n%2 == 1 {
			args = []string{"backup", "--data-dir", dir, "--to", place, "--incremental"}
		}
		p := launch(t, nil, args...)
		select {
		case <-p.exited:
		case <-time.After(time.Duration(random.Int64N(int64(usual)))):
			p.kill()
			killed++
		}
		r := requireVerified(t, place)
		require.GreaterOrEqual(t, r.Events, held)
		held = r.Events
		if _, err := os.Stat(whole); err == nil {
			requireVerified(t, whole)
		}
	}
	require.GreaterOrEqual(t, backUp(t, dir, place, "--incremental").Manifest.Events, held)
	require.GreaterOrEqual(t, backUp(t, dir, filepath.Join(to, "whole-0"), "--incremental").Manifest.Events, held)
	s.kill()
	run.wait(t)
	requireVerified(t, place)
	left, err := filepath.Glob(filepath.Join(to, "whole-0.partial-*"))
	require.NoError(t, err)
	require.Empty(t, left, "the next backup removes what a killed one left")
	prove.Report(t, prove.Result{Row: 14, Seed: seed, Figures: []prove.Figure{{Name: "backups killed", Value: float64(killed)}}})
}

// TestFault14ControlWhatIsNoBackupIsFound shows that verify and restore can
// refuse: a copy of the files of a running server, a flipped bit, missing rows.
func TestFault14ControlWhatIsNoBackupIsFound(t *testing.T) {
	seed := prove.Seed(t)
	random := rand.New(rand.NewPCG(seed, 14))
	dir, to, l := t.TempDir(), t.TempDir(), newLedger()
	s := startServer(t, dir)
	run := startLoad(s, l, loadOptions{senders: 16, seed: seed})
	run.waitStored(t, 6000)
	older, newer, copied := filepath.Join(to, "older"), filepath.Join(to, "newer"), filepath.Join(to, "copied")
	backUp(t, dir, older)
	require.NoError(t, os.Mkdir(copied, 0o700))
	copyFile(t, filepath.Join(dir, "sekali.db"), filepath.Join(copied, "sekali.db"))
	l.publishNew(s, 1)
	copyFile(t, filepath.Join(dir, "sekali.mark"), filepath.Join(copied, "sekali.mark"))
	s.kill()
	run.wait(t)
	backUp(t, dir, newer)

	found := 0
	mustFind := func(name, place string, kind string) {
		var r verifyResult
		require.Equal(t, 1, sekaliJSON(t, &r, "verify", "--data-dir", place), name)
		require.Contains(t, r.kinds(), kind, name)
		require.Equal(t, 1, sekaliJSON(t, nil, "restore", "--from", place, "--data-dir", filepath.Join(to, "never")), name)
		require.NoDirExists(t, filepath.Join(to, "never"))
		found++
	}
	mustFind("a copy of the file under load", copied, "log")
	file := filepath.Join(newer, "sekali.db")
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for range prove.Count(t, "backup-flips", 10, 300) {
		at, bit := random.IntN(len(whole)), byte(1)<<random.IntN(8)
		whole[at] ^= bit
		require.NoError(t, os.WriteFile(file, whole, 0o600))
		mustFind(fmt.Sprintf("bit %#x of byte %d", bit, at), newer, "backup")
		whole[at] ^= bit
	}
	copyFile(t, filepath.Join(older, "sekali.db"), file)
	mustFind("rows are missing", newer, "backup")
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	requireVerified(t, newer)
	prove.Report(t, prove.Result{Row: 14, Seed: seed, Control: true, Figures: []prove.Figure{{Name: "found", Value: float64(found)}}})
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, text, 0o600))
}
