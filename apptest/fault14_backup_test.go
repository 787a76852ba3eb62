package apptest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestFault14BackupUnderLoad backs up a directory while its server is under
// load, kills the server, restores the backup elsewhere and serves it: it holds
// everything that was acknowledged before the backup began, nothing that was
// not sent, and knows every id that it holds. Every other backup is whole, the
// others add to the one before.
func TestFault14BackupUnderLoad(t *testing.T) {
	rounds := prove.Count(t, "backups", 3, 100)
	dir, to, l := t.TempDir(), t.TempDir(), newLedger()
	place := filepath.Join(to, "backup-0")
	var before, held, during float64
	for round := range rounds {
		s := startServer(t, dir)
		run := startLoad(s, l, round)
		run.waitAnswers(t, 100)
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
		require.GreaterOrEqual(t, backup.Manifest.Events, int64(len(acknowledged)))
		before, held = before+float64(len(acknowledged)), held+float64(backup.Manifest.Events)

		requireVerified(t, place)
		restored := filepath.Join(to, fmt.Sprint("restored-", round))
		require.Equal(t, 0, sekaliJSON(t, nil, "restore", "--from", place, "--data-dir", restored))
		requireVerified(t, restored)
		l.requireRestored(startServer(t, restored), acknowledged)
		require.NoError(t, os.RemoveAll(restored))

		s = startServer(t, dir)
		l.resend(s)
		s.kill()
	}
	prove.Report(t, prove.Result{Row: 14, Figures: []prove.Figure{
		{Name: "backups under load, restored", Value: float64(rounds)},
		{Name: "acknowledged before them", Value: before, Unit: "events"},
		{Name: "held by them", Value: held, Unit: "events"},
		{Name: "answers while they were taken", Value: during, Unit: "requests"},
		{Name: "lost", Value: 0, Unit: "events"},
	}})
}

// acknowledged is what has been acknowledged so far.
func (l *ledger) acknowledged() map[identity]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

// requireRestored holds a server on a restored directory against what was
// acknowledged before the backup, and against all that was sent until now.
func (l *ledger) requireRestored(s *server, before map[identity]int64) {
	s.t.Helper()
	sent := newLedger()
	maps.Copy(sent.acked, before)
	for _, more := range []map[identity]bool{l.unknown, keySet(l.acked)} {
		for i := range more {
			if sent.acked[i] == 0 {
				sent.unknown[i] = true
			}
		}
	}
	sent.requireSound(s)
	for n, r := range s.rows() {
		require.EqualValues(s.t, n+1, r.Seq, "seqs without a gap")
		if seq, ok := l.acked[identity{r.Topic, r.ID}]; ok {
			require.Equal(s.t, seq, r.Seq)
		}
	}
	var again []sekali.Event
	for i := range before {
		if again = append(again, event(i.topic, i.id)); len(again) == 500 {
			break
		}
	}
	for n, r := range s.publish(again...) {
		require.Equal(s.t, sekali.OutcomeDuplicate, r.Outcome)
		require.Equal(s.t, before[identity{again[n].Topic, again[n].ID}], r.Seq)
	}
	s.kill()
}

func keySet(m map[identity]int64) map[identity]bool {
	set := make(map[identity]bool, len(m))
	for i := range m {
		set[i] = true
	}
	return set
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
	run := startLoad(s, l, 0)
	run.waitAnswers(t, 100)
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
	run := startLoad(s, l, 0)
	run.waitAnswers(t, 100)
	older, newer, copied := filepath.Join(to, "older"), filepath.Join(to, "newer"), filepath.Join(to, "copied")
	backUp(t, dir, older)
	require.NoError(t, os.Mkdir(copied, 0o700))
	copyFile(t, filepath.Join(dir, "sekali.db"), filepath.Join(copied, "sekali.db"))
	answers := run.answers.Load()
	s.publish(event("t", "one more"))
	copyFile(t, filepath.Join(dir, "sekali.mark"), filepath.Join(copied, "sekali.mark"))
	s.kill()
	run.wait(t)
	t.Logf("%d answers before the copy", answers)
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
