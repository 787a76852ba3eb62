package apptest_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

func TestVerifySaysSoundAndChangesNothingAndTellsWhenItCannot(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	s.publish(event("t", "1"), event("t", "2"), event("u", "1"))
	s.publish(event("t", "1"))

	inUse := run(t, nil, "verify", "--data-dir", dir)
	require.Equal(t, 75, inUse.code)
	require.Contains(t, inUse.stderr.String(), "in use by process")
	require.Contains(t, inUse.stderr.String(), "sekali backup --data-dir "+dir)
	s.kill()
	before := fileSizes(t, dir)
	require.Contains(t, before, "sekali.db-wal")
	p := run(t, []string{"SEKALI_DATA_DIR=" + dir}, "verify")
	require.Equal(t, 0, p.code)
	require.Regexp(t, `events +3 up to seq 3, in 2 topics`, p.stdout.String())
	require.Regexp(t, `result +sound`, p.stdout.String())
	require.Empty(t, p.stderr.String())
	require.Equal(t, before, fileSizes(t, dir))

	require.Equal(t, 74, run(t, nil, "verify", "--data-dir", filepath.Join(dir, "none")).code)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sekali.db"), []byte("notes"), 0o600))
	p = run(t, nil, "verify", "--data-dir", dir)
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stdout.String(), "is not a SQLite database")
	require.Contains(t, p.stdout.String(), "sekali restore")
}

func fileSizes(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	sizes := make(map[string]int64)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		sizes[e.Name()] = info.Size()
	}
	return sizes
}

func TestABackupIsRestoredAndTheRestoredServerKnowsItsIDs(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	place, restored := filepath.Join(to, "b"), filepath.Join(to, "deep", "data")
	s := startServer(t, dir)
	first := s.publish(event("t", "1"), event("t", "2"))
	p := run(t, nil, "backup", "--data-dir", dir, "--to", place)
	require.Equal(t, 0, p.code)
	require.Regexp(t, `of +\S+, while it is in use`, p.stdout.String())
	require.Regexp(t, `holds +2 events up to seq 2, in 1 topic; 0 repeats`, p.stdout.String())
	s.publish(event("t", "3"))
	p = run(t, nil, "backup", "--data-dir", dir, "--to", place)
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stderr.String(), "--incremental")
	p = run(t, nil, "backup", "--data-dir", dir, "--to", place, "--incremental", "--max-rate", "20MiB")
	require.Equal(t, 0, p.code)
	require.Regexp(t, `copied +1 event with`, p.stdout.String())
	p = run(t, nil, "restore", "--from", place, "--data-dir", dir)
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stderr.String(), "missing or empty")
	s.kill()

	p = run(t, nil, "restore", "--from", place, "--data-dir", restored)
	require.Equal(t, 0, p.code)
	require.Regexp(t, `holds +3 events up to seq 3`, p.stdout.String())
	s = startServer(t, restored)
	again := s.publish(event("t", "1"), event("t", "2"))
	require.Equal(t, sekali.OutcomeDuplicate, again[0].Outcome)
	require.Equal(t, first[1].Seq, again[1].Seq)

	p = run(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", place)
	require.Equal(t, 74, p.code)
	require.Contains(t, p.stderr.String(), "is a backup")
}

func TestARestoredServerIsAsClosedAsTheOneThatWasBackedUp(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := startServer(t, dir)
	s.publish(event("t", "1"))
	s.kill()
	p := run(t, nil, "keys", "create", "--data-dir", dir, "--name", "sender", "--scope", "publish")
	require.Equal(t, 0, p.code)
	backUp(t, dir, filepath.Join(to, "b"))
	restored := filepath.Join(to, "data")
	p = run(t, nil, "restore", "--from", filepath.Join(to, "b"), "--data-dir", restored)
	require.Equal(t, 0, p.code)
	require.Contains(t, p.stdout.String(), "revoke again what was revoked since then")
	s = startServer(t, restored)
	_, err := s.Stats(t.Context())
	var refusal *client.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, http.StatusUnauthorized, refusal.Status)
	s.kill()

	require.NoError(t, os.Remove(filepath.Join(dir, "keys.json")))
	p = run(t, nil, "backup", "--data-dir", dir, "--to", filepath.Join(to, "open"))
	require.Equal(t, 74, p.code)
	require.Contains(t, p.stderr.String(), "keys.json is missing although there were keys")
}

func TestAnInterruptedBackupLeavesNothing(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := startServer(t, dir)
	var events []sekali.Event
	for i := range 5000 {
		events = append(events, event("t", fmt.Sprint(i)))
	}
	s.publish(events...)
	p := launch(t, nil, "backup", "--data-dir", dir, "--to", filepath.Join(to, "b"), "--max-rate", "1KiB")
	require.Eventually(t, func() bool { return len(fileSizes(t, to)) == 1 }, patience, shortly)
	p.signal(syscall.SIGINT)
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.stderr.String(), "interrupted")
	require.Empty(t, fileSizes(t, to))
}

func TestDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	s := startServer(t, dir)
	s.publish(event("t", "1"))
	listen := strings.TrimPrefix(s.url, "http://")

	type result struct {
		Checks []struct{ Name, Verdict, Says, Do string }
	}
	diagnose := func(code int, args ...string) map[string]string {
		t.Helper()
		var r result
		require.Equal(t, code, sekaliJSON(t, &r, append([]string{"doctor", "--data-dir", dir}, args...)...), "%v", r)
		verdicts := make(map[string]string)
		for _, c := range r.Checks {
			verdicts[c.Name] = c.Verdict + ": " + c.Says
			require.Equal(t, c.Verdict == "OK", c.Do == "", c.Name)
		}
		return verdicts
	}
	got := diagnose(0, "--listen", listen)
	for name, verdict := range got {
		if name != "file system" && name != "free space" { // those of the machine
			require.Contains(t, verdict, "OK: ", name)
		}
	}
	require.Contains(t, got["use"], "in use by process")
	require.Contains(t, got["server"], s.url+" takes events")
	require.Contains(t, diagnose(0, "--listen", "127.0.0.1:1")["server"], "WARN: the directory is in use, and nobody answers")
	require.Contains(t, diagnose(1, "--url", "http://127.0.0.1:1")["server"], "FAIL: ")
	s.kill()
	got = diagnose(0)
	require.Contains(t, got["log"], "OK: ")
	require.Contains(t, got["log"], "the server was not stopped")
	require.Contains(t, got["mark"], "OK: transaction 1 with event 1")

	for name, tc := range map[string]struct {
		spoil func()
		code  int
		check string
		says  string
	}{
		"an open directory":     {func() { require.NoError(t, os.Chmod(dir, 0o755)) }, 0, "permissions", "WARN: other users may look into"},
		"open keys":             {func() { require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.json"), nil, 0o644)) }, 1, "keys", "lets everybody on this machine at the keys"},
		"damaged keys":          {func() { require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{}"), 0o600)) }, 1, "keys", "FAIL: "},
		"keys that have gone":   {func() { require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.lock"), []byte("x"), 0o600)) }, 1, "keys", "missing although there were keys"},
		"a foreign file":        {func() { require.NoError(t, os.WriteFile(filepath.Join(dir, "photo.jpg"), nil, 0o600)) }, 0, "files", "WARN: 1 file not Sekali's: photo.jpg"},
		"no mark":               {func() { require.NoError(t, os.Remove(filepath.Join(dir, "sekali.mark"))) }, 0, "mark", "WARN: "},
		"a database cut off":    {func() { require.NoError(t, os.Truncate(filepath.Join(dir, "sekali.db"), 10)) }, 1, "database", "FAIL: sekali.db is not a SQLite database"},
		"an unfinished restore": {func() { require.NoError(t, os.WriteFile(filepath.Join(dir, "RESTORING"), nil, 0o600)) }, 1, "use", "FAIL: a restore did not"},
		"no database":           {func() { require.NoError(t, os.Remove(filepath.Join(dir, "sekali.db"))) }, 1, "database", "FAIL: sekali.db is missing, its log is there"},
	} {
		sound := t.TempDir()
		require.NoError(t, os.CopyFS(sound, os.DirFS(dir)))
		tc.spoil()
		require.Contains(t, diagnose(tc.code)[tc.check], tc.says, name)
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.CopyFS(dir, os.DirFS(sound)))
	}
	require.Contains(t, diagnose(1, "--max-batch-events", "0")["configuration"], "FAIL: --max-batch-events")
	p := run(t, nil, "doctor", "--data-dir", filepath.Join(dir, "none"))
	require.Equal(t, 0, p.code)
	require.Regexp(t, `WARN +directory +\S+ does not exist\n +-> `, p.stdout.String())
}

func TestTheStoresToolsSayHowTheyAreUsed(t *testing.T) {
	for _, args := range [][]string{
		{"verify", "--output", "xml"},
		{"verify", "argument"},
		{"backup"},
		{"backup", "--to", "x", "--max-rate", "fast"},
		{"restore"},
		{"doctor", "--nonsense"},
		{"doctor", "--url", "not a url"},
	} {
		p := run(t, nil, args...)
		require.Equal(t, 2, p.code, args)
		require.Contains(t, p.stderr.String(), "sekali help", args)
		require.Empty(t, p.stdout.String(), args)
	}
}
