package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

// appendRepeated stores n events of two topics from id first, and counts a
// repeat of each.
func appendRepeated(t testing.TB, s *Store, first, n int) {
	t.Helper()
	for i, topic := range []string{"one", "two"} {
		b := batchOf(topic, first, n/2, 20)
		for j := range b.Events {
			b.Events[j].Payload = fmt.Appendf(nil, `{"n": %d, "i": %d}`, j, i)
		}
		b.At = b.At.Add(time.Duration(first) * time.Second)
		appended := mustAppend(t, s, b)
		repeats := sekali.Batch{At: b.At}
		for j, d := range appended.Decisions {
			repeats.Duplicates = append(repeats.Duplicates, sekali.DuplicateTally{Topic: topic, Seq: d.Seq, Count: 1 + int64(j%2), LastAt: b.At})
		}
		mustAppend(t, s, repeats)
	}
}

func backedUp(t testing.TB, source, dir string, o BackupOptions) *BackupReport {
	t.Helper()
	r, err := Backup(t.Context(), source, dir, o)
	require.NoError(t, err)
	require.Empty(t, verified(t, dir).Findings)
	return r
}

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestABackupOfAServersDirectoryAndOneAtRestAreTheSame(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{generationRows: 256})
	appendRepeated(t, s, 0, 1000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keysFile), []byte("{}"), 0o600))
	online := backedUp(t, dir, filepath.Join(to, "online"), BackupOptions{Version: "v1"})
	require.True(t, online.Online)
	require.NoError(t, s.Close())
	before := fingerprints(t, dir)
	rest := backedUp(t, dir, filepath.Join(to, "rest"), BackupOptions{Version: "v1"})
	require.Equal(t, before, fingerprints(t, dir), "the source does not change")
	require.False(t, rest.Online)
	require.Equal(t, online.Manifest.Content, rest.Manifest.Content)
	require.Equal(t, verified(t, dir).Content, rest.Manifest.Content)
	require.EqualValues(t, 1000, rest.EventsCopied)
	require.EqualValues(t, 1000, rest.Manifest.LastSeq)
	require.EqualValues(t, 1500, rest.Manifest.Duplicates)
	require.Equal(t, []string{"BACKUP.json", "LOCK", "keys-44136fa355b3.json", "sekali.db"}, names(t, filepath.Join(to, "rest")))
	require.Equal(t, []string{"online", "rest"}, names(t, to), "nothing is left beside them")
	info, err := os.Stat(filepath.Join(to, "rest", "sekali.db"))
	require.NoError(t, err)
	require.Zero(t, info.Mode()&0o077, "others cannot read it")
}

func TestABackupOfAnEmptyStoreRestoresToAnEmptyStore(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "b")
	require.NoError(t, openTest(t, dir, Options{}).Close())
	backedUp(t, dir, to, BackupOptions{})
	restored := filepath.Join(t.TempDir(), "deep", "data")
	_, err := Restore(t.Context(), to, restored, RestoreOptions{})
	require.NoError(t, err)
	require.Empty(t, verified(t, restored).Findings)
	s := openTest(t, restored, Options{})
	appendRepeated(t, s, 0, 10)
	requireUnique(t, s, 10)
}

func TestARestoredStoreKnowsEveryIDAndGoesOn(t *testing.T) {
	dir, to, restored := t.TempDir(), filepath.Join(t.TempDir(), "b"), t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 1000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keysFile), []byte(`{"keys": []}`), 0o600))
	backedUp(t, dir, to, BackupOptions{})
	before := fingerprints(t, to)
	r, err := Restore(t.Context(), to, restored, RestoreOptions{})
	require.NoError(t, err)
	require.True(t, r.Keys)
	require.Equal(t, before, fingerprints(t, to), "the backup does not change")
	require.NoFileExists(t, filepath.Join(restored, restoringFile))
	require.NoFileExists(t, filepath.Join(restored, manifestFile))
	text, err := os.ReadFile(filepath.Join(restored, keysFile))
	require.NoError(t, err)
	require.JSONEq(t, `{"keys": []}`, string(text))
	sound := verified(t, restored)
	require.Empty(t, sound.Findings)
	require.Equal(t, r.Manifest.Content, sound.Content)

	s = openTest(t, restored, Options{})
	appended := mustAppend(t, s, batchOf("one", 0, 500, 20))
	for i, d := range appended.Decisions {
		require.False(t, d.Stored, "id %d is a repeat", i)
		require.EqualValues(t, i+1, d.Seq)
	}
	require.True(t, mustAppend(t, s, batchOf("one", 500, 1, 20)).Decisions[0].Stored)
}

func TestABackupIsAPrefixWhileEventsAreBeingStored(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{generationRows: 512})
	place := filepath.Join(to, "b")
	for round := range 3 {
		acknowledged := s.visible.Load()
		var storing sync.WaitGroup
		storing.Go(func() {
			for n := range 10 {
				appendRepeated(t, s, 1000*round+50*n, 50)
			}
		})
		m := backedUp(t, dir, place, BackupOptions{Incremental: true, page: 32}).Manifest
		storing.Wait()
		require.GreaterOrEqual(t, m.LastSeq, acknowledged)
		require.LessOrEqual(t, m.LastSeq, s.visible.Load())
	}
	m := backedUp(t, dir, filepath.Join(to, "full"), BackupOptions{}).Manifest
	require.EqualValues(t, 1500, m.LastSeq)
}

func TestAnIncrementalBackupIsTheSameAsAFullOne(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	place := filepath.Join(to, "b")
	for n := range 4 {
		appendRepeated(t, s, 100*n, 100)
		mustAppend(t, s, sekali.Batch{Duplicates: []sekali.DuplicateTally{{Topic: "one", Seq: 1, Count: 5, Conflicts: 2, LastAt: time.Now()}}})
		r := backedUp(t, dir, place, BackupOptions{Incremental: true})
		require.EqualValues(t, 100, r.EventsCopied)
		require.Equal(t, n > 0, r.Incremental)
		full := backedUp(t, dir, filepath.Join(to, fmt.Sprint("full", n)), BackupOptions{})
		require.Equal(t, full.Manifest.Content, r.Manifest.Content)
		require.Equal(t, full.Manifest.Store, r.Manifest.Store)
		require.Equal(t, []string{"BACKUP.json", "LOCK", "sekali.db"}, names(t, place))
	}
	again := backedUp(t, dir, place, BackupOptions{Incremental: true})
	require.Zero(t, again.EventsCopied)
}

// TestAKilledIncrementalBackupLeavesAWholeOne looks at the directory at each
// step as a kill would leave it.
func TestAKilledIncrementalBackupLeavesAWholeOne(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	place := filepath.Join(to, "b")
	appendRepeated(t, s, 0, 300)
	backedUp(t, dir, place, BackupOptions{})
	appendRepeated(t, s, 300, 300)

	steps := make(map[string]string)
	take := func(step string) {
		if steps[step] == "" {
			steps[step] = filepath.Join(to, "at-"+step)
			require.NoError(t, os.CopyFS(steps[step], os.DirFS(place)))
		}
	}
	_, err := Backup(t.Context(), dir, place, BackupOptions{
		Incremental: true, step: take, page: 32,
		Progress: func(part string, done, total int64) {
			if part == "copy" && done > total/2 && done < total {
				take("writing")
			}
		},
	})
	require.NoError(t, err)
	require.Len(t, steps, 5)
	for step, last := range map[string]int64{"writing": 300, "committed": 300, "listed": 600, "moved": 600, "settled": 600} {
		t.Run(step, func(t *testing.T) {
			killed := steps[step]
			r := verified(t, killed)
			require.Empty(t, r.Findings)
			require.Equal(t, last, r.LastSeq)
			restored := filepath.Join(t.TempDir(), "data")
			report, err := Restore(t.Context(), killed, restored, RestoreOptions{})
			require.NoError(t, err)
			require.Equal(t, last, report.Manifest.LastSeq)
			require.Equal(t, r.Content, verified(t, restored).Content)

			again := backedUp(t, dir, killed, BackupOptions{Incremental: true})
			require.EqualValues(t, 600, again.Manifest.LastSeq)
			require.Equal(t, 600-last, again.EventsCopied)
			require.Equal(t, []string{"BACKUP.json", "LOCK", "sekali.db"}, names(t, killed))
		})
	}
}

func TestAFailedBackupLeavesNothingAndAFailedIncrementalTheOlderOne(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 600)
	ctx, cancel := context.WithCancel(t.Context())
	stopAt := func(part string, done, total int64) {
		if part == "copy" && done > total/2 {
			cancel()
		}
	}
	_, err := Backup(ctx, dir, filepath.Join(to, "b"), BackupOptions{Progress: stopAt, page: 64})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, names(t, to))

	place := filepath.Join(to, "b")
	backedUp(t, dir, place, BackupOptions{})
	appendRepeated(t, s, 600, 600)
	execWriter(t, s, `update events set payload = x'7b7d' where seq = 1150`)
	_, err = Backup(t.Context(), dir, place, BackupOptions{Incremental: true})
	require.ErrorIs(t, err, errRowDamaged)
	require.ErrorContains(t, err, "event 1150")
	require.EqualValues(t, 600, verified(t, place).LastSeq)
	_, err = Backup(t.Context(), dir, filepath.Join(to, "c"), BackupOptions{})
	require.ErrorIs(t, err, errRowDamaged)
	require.Equal(t, []string{"b"}, names(t, to))
}

func TestWhatAKilledBackupLeftIsRemovedAndNothingElse(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	require.NoError(t, openTest(t, dir, Options{}).Close())
	left, foreign := filepath.Join(to, "b.partial-1"), filepath.Join(to, "b.partial-2")
	for _, d := range []string{left, foreign} {
		require.NoError(t, os.Mkdir(d, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(d, lockFile), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "photos.zip"), nil, 0o600))
	backedUp(t, dir, filepath.Join(to, "b"), BackupOptions{})
	require.Equal(t, []string{"b", "b.partial-2"}, names(t, to))
}

func TestABackupIsRefusedWhereItWouldDoHarm(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 100)
	place := filepath.Join(to, "b")
	backedUp(t, dir, place, BackupOptions{})
	link := filepath.Join(to, "link")
	require.NoError(t, os.Symlink(dir, link))
	other := t.TempDir()
	s2 := openTest(t, other, Options{})
	appendRepeated(t, s2, 0, 200)
	require.NoError(t, os.Mkdir(filepath.Join(to, "foreign"), 0o700))
	older := t.TempDir()
	_, err := Restore(t.Context(), place, older, RestoreOptions{})
	require.NoError(t, err)
	s3 := openTest(t, older, Options{})

	appendRepeated(t, s, 100, 100)
	backedUp(t, dir, place, BackupOptions{Incremental: true})
	for name, tc := range map[string]struct {
		source, dir string
		incremental bool
		says        string
	}{
		"it exists":                 {dir, place, false, "exists"},
		"inside the data directory": {dir, filepath.Join(dir, "b"), false, "lie in each other"},
		"inside it by a link":       {dir, filepath.Join(link, "b"), false, "lie in each other"},
		"around the data directory": {dir, filepath.Dir(dir), true, "lie in each other"},
		"the data directory itself": {dir, dir, true, "lie in each other"},
		"nowhere":                   {dir, filepath.Join(to, "none", "b"), false, "create it first"},
		"not a backup":              {dir, filepath.Join(to, "foreign"), true, "is not a backup"},
		"of another store":          {other, place, true, "of another store"},
		"of a store that went back": {older, place, true, "only up to 100"},
	} {
		before := fingerprints(t, place)
		_, err := Backup(t.Context(), tc.source, tc.dir, BackupOptions{Incremental: tc.incremental})
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, name)
		require.Regexp(t, tc.says, err.Error(), name)
		require.Equal(t, before, fingerprints(t, place), name)
	}
	appendRepeated(t, s3, 5000, 100)
	_, err = Backup(t.Context(), older, place, BackupOptions{Incremental: true})
	require.ErrorContains(t, err, "is not that of", "as many events, others")

	lock, err := lockDir(place)
	require.NoError(t, err)
	_, err = Backup(t.Context(), dir, place, BackupOptions{Incremental: true})
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
	require.NoError(t, lock.release())
}

func TestABackupIsNotServed(t *testing.T) {
	dir, place := t.TempDir(), filepath.Join(t.TempDir(), "b")
	require.NoError(t, openTest(t, dir, Options{}).Close())
	backedUp(t, dir, place, BackupOptions{})
	before := fingerprints(t, place)
	_, err := Open(t.Context(), place, Options{})
	require.ErrorContains(t, err, "sekali restore")
	_, err = Backup(t.Context(), place, filepath.Join(t.TempDir(), "c"), BackupOptions{})
	require.ErrorContains(t, err, "is a backup")
	require.Equal(t, before, fingerprints(t, place))
}

// TestABackupThatIsNotWhatWasWrittenIsFound is the control of all that rely on
// Verify of a backup.
func TestABackupThatIsNotWhatWasWrittenIsFound(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 200)
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, dir string)
		says  string
	}{
		"one flipped bit in a place of no meaning": {func(t *testing.T, dir string) { flip(t, filepath.Join(dir, databaseFile), 95) }, "SHA-256"},
		"one row removed": {func(t *testing.T, dir string) {
			damage(t, dir, `delete from events where seq = 200`, `update topics set unique_count = unique_count - 1 where name = 'two'`)
		}, "the manifest says"},
		"one repeat removed": {func(t *testing.T, dir string) {
			damage(t, dir, `update duplicates set count = 1 where id = 2`, `update topics set duplicate_count = duplicate_count - 1 where name = 'one'`)
		}, "the manifest says"},
		"a manifest of another backup": {func(t *testing.T, dir string) {
			m, err := readManifest(dir)
			require.NoError(t, err)
			m.LastSeq++
			require.NoError(t, m.write(dir))
		}, "the manifest says"},
		"a manifest that is cut off": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, manifestFile), 100))
		}, "BACKUP.json is damaged"},
		"a manifest that names files elsewhere": {func(t *testing.T, dir string) {
			m, err := readManifest(dir)
			require.NoError(t, err)
			m.Files = append(m.Files, ManifestFile{Name: "../x"})
			require.NoError(t, m.write(dir))
		}, "that a backup does not have"},
		"a lost file": {func(t *testing.T, dir string) {
			m, err := readManifest(dir)
			require.NoError(t, err)
			m.Files = append(m.Files, ManifestFile{Name: "keys-1.json"})
			require.NoError(t, m.write(dir))
		}, "keys-1.json is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			place := filepath.Join(t.TempDir(), "b")
			backedUp(t, dir, place, BackupOptions{})
			tc.spoil(t, place)
			var all []string
			for _, f := range verified(t, place).Findings {
				all = append(all, f.Examples...)
			}
			require.Contains(t, strings.Join(all, "\n"), tc.says)
			_, err := Restore(t.Context(), place, filepath.Join(t.TempDir(), "data"), RestoreOptions{})
			require.Error(t, err)
		})
	}
}

func TestARestoreRefusesWhatIsNotEmptyAndBeginsAnewWhatWasKilled(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 1000)
	place := filepath.Join(to, "b")
	backedUp(t, dir, place, BackupOptions{})
	var refused *RefusedError
	_, err := Restore(t.Context(), place, dir, RestoreOptions{})
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "in it; name a directory that is missing or empty")
	_, err = Restore(t.Context(), dir, filepath.Join(to, "data"), RestoreOptions{})
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "is not a backup")

	killed := filepath.Join(to, "killed")
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Restore(ctx, place, killed, RestoreOptions{Progress: func(part string, _, _ int64) {
		if part == "files" {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	_, err = Open(t.Context(), killed, Options{})
	require.ErrorContains(t, err, "not restored to the end")
	_, err = Backup(t.Context(), killed, filepath.Join(to, "c"), BackupOptions{})
	require.ErrorContains(t, err, "not restored to the end")
	_, err = Restore(t.Context(), place, killed, RestoreOptions{})
	require.NoError(t, err)
	require.Empty(t, verified(t, killed).Findings)
}

// TestAKilledRestoreLeavesNothingToTheNextOne has a restore killed behind its
// last file, and an older backup without keys restored instead.
func TestAKilledRestoreLeavesNothingToTheNextOne(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 1000)
	older, newer, data := filepath.Join(to, "older"), filepath.Join(to, "newer"), filepath.Join(to, "data")
	backedUp(t, dir, older, BackupOptions{})
	appendRepeated(t, s, 1000, 1000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keysFile), []byte("{}"), 0o600))
	backedUp(t, dir, newer, BackupOptions{})
	_, err := Restore(t.Context(), newer, data, RestoreOptions{})
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(data, keysFile))
	require.NoError(t, os.WriteFile(filepath.Join(data, restoringFile), nil, 0o600)) // all but the last step
	_, err = Restore(t.Context(), older, data, RestoreOptions{})
	require.NoError(t, err)
	require.Empty(t, verified(t, data).Findings)
	require.NoFileExists(t, filepath.Join(data, keysFile))
}

// TestADirectoryThatLostEventsIsNotBackedUp: a backup would look sound, and what
// is restored from it would not know any more that something is missing.
func TestADirectoryThatLostEventsIsNotBackedUp(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 100)
	backedUp(t, dir, filepath.Join(to, "older"), BackupOptions{})
	appendRepeated(t, s, 100, 100)
	size := walFile(t, s)
	appendRepeated(t, s, 200, 100)
	killed := crashed(t, s)
	backedUp(t, killed, filepath.Join(to, "whole"), BackupOptions{}) // the control
	require.NoError(t, os.Truncate(filepath.Join(killed, logFile), size))
	for place, incremental := range map[string]bool{"full": false, "older": true} {
		_, err := Backup(t.Context(), killed, filepath.Join(to, place), BackupOptions{Incremental: incremental})
		var loss *LossError
		require.ErrorAs(t, err, &loss, place)
		require.ErrorContains(t, err, "100 events (seq 201 to 300)")
	}
	require.NoDirExists(t, filepath.Join(to, "full"))
	require.Empty(t, verified(t, filepath.Join(to, "older")).Findings)
}

func TestALimitedBackupTakesItsTime(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	appendRepeated(t, s, 0, 200)
	r := backedUp(t, dir, filepath.Join(t.TempDir(), "b"), BackupOptions{BytesPerSecond: 40_000, page: 32})
	require.GreaterOrEqual(t, r.CopySeconds, float64(r.BytesCopied)/40_000)
}

func TestADirectoryWithoutADatabaseIsNotBackedUp(t *testing.T) {
	_, err := Backup(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "b"), BackupOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	var refused *RefusedError
	require.NotErrorAs(t, err, &refused)
}
