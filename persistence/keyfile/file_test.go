package keyfile_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/access"
	"sekali/internal/prove"
	"sekali/persistence/keyfile"
)

func create(t testing.TB, f *keyfile.File, name string) access.Token {
	t.Helper()
	var token access.Token
	_, err := f.Update(func(k *access.Keys) (err error) {
		_, token, err = k.Create(access.Spec{
			Name: name, Scopes: access.Scopes()[:2], TopicPrefixes: []string{"a.", "\"é\""}, Lifetime: time.Hour, Rate: access.Rate{PerSecond: 1.5},
		}, time.Now())
		return err
	})
	require.NoError(t, err)
	return token
}

func load(t testing.TB, dir string) []access.Key {
	t.Helper()
	keys, err := keyfile.New(dir).Load()
	require.NoError(t, err)
	return keys.All()
}

func TestKeysComeBackAsTheyWereAndTheSecretIsNotInTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	f := keyfile.New(dir)
	token := create(t, f, "first")
	create(t, f, "second")
	_, err := f.Update(func(k *access.Keys) error {
		_, err := k.Revoke("second", time.Now())
		k.Used(map[string]time.Time{token.ID(): time.Now()})
		return err
	})
	require.NoError(t, err)
	written, err := f.Load()
	require.NoError(t, err)
	require.Equal(t, written.All(), load(t, dir))
	require.Equal(t, token.Hash(), written.All()[0].Hash)
	require.NotZero(t, written.All()[0].LastUsed)
	text, err := os.ReadFile(f.Path())
	require.NoError(t, err)
	require.Contains(t, string(text), token.ID())
	require.NotContains(t, string(text), token.Reveal()[17:])
	for _, name := range []string{keyfile.Name, "keys.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

func TestADirectoryWithoutTheFileHasNoKeys(t *testing.T) {
	dir := t.TempDir()
	require.Empty(t, load(t, dir))
	require.Empty(t, load(t, filepath.Join(dir, "missing")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "looking leaves nothing behind")
}

func TestLoadGivesTheSameKeysUntilSomethingChanges(t *testing.T) {
	dir := t.TempDir()
	f, other := keyfile.New(dir), keyfile.New(dir)
	same := func(keys *access.Keys) {
		t.Helper()
		again, err := f.Load()
		require.NoError(t, err)
		require.Same(t, keys, again)
	}
	none, err := f.Load()
	require.NoError(t, err)
	same(none)
	create(t, other, "a")
	one, err := f.Load()
	require.NoError(t, err)
	require.Len(t, one.All(), 1)
	same(one)
	create(t, other, "b")
	two, err := f.Load()
	require.NoError(t, err)
	require.Len(t, two.All(), 2)
	same(two)
	require.Len(t, one.All(), 1, "what was handed out does not change")
}

func TestAnUpdateThatFailsLeavesTheFileAsItWas(t *testing.T) {
	dir := t.TempDir()
	f := keyfile.New(dir)
	create(t, f, "a")
	before, err := os.ReadFile(f.Path())
	require.NoError(t, err)
	_, err = f.Update(func(k *access.Keys) error {
		_, err := k.Revoke("a", time.Now())
		require.NoError(t, err)
		return fs.ErrPermission
	})
	require.ErrorIs(t, err, fs.ErrPermission)
	after, err := os.ReadFile(f.Path())
	require.NoError(t, err)
	require.Equal(t, before, after)
	keys, err := f.Load()
	require.NoError(t, err)
	require.Equal(t, access.Active, keys.All()[0].State(time.Now()))
}

func TestWhatACrashHasLeftOnTheWayIsNotInTheWay(t *testing.T) {
	dir := t.TempDir()
	f := keyfile.New(dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.json.next"), []byte(`{"sekali_ke`), 0o600))
	require.Empty(t, load(t, dir))
	create(t, f, "a")
	require.Len(t, load(t, dir), 1)
	require.NoFileExists(t, filepath.Join(dir, "keys.json.next"))
}

func TestAFileThatMayNotBeTrustedIsRefused(t *testing.T) {
	for says, harm := range map[string]func(path string) error{
		"is missing although there were keys": os.Remove,
		"everybody on this machine":           func(p string) error { return os.Chmod(p, 0o604) },
		"not a regular file":                  func(p string) error { return replace(p, func() error { return os.Mkdir(p, 0o700) }) },
		"a regular file":                      func(p string) error { return replace(p, func() error { return syscall.Mkfifo(p, 0o600) }) },
		"is damaged":                          func(p string) error { return os.Truncate(p, 100) },
		"it is damaged":                       func(p string) error { return os.Truncate(p, 0) },
		"has version 2":                       func(p string) error { return edit(p, `"sekali_keys": 1`, `"sekali_keys": 2`) },
		"or was changed by something else":    func(p string) error { return edit(p, `"read"`, `"admin"`) },
	} {
		t.Run(says, func(t *testing.T) {
			dir := t.TempDir()
			f := keyfile.New(dir)
			create(t, f, "a")
			require.NoError(t, harm(f.Path()))
			for _, reader := range []*keyfile.File{f, keyfile.New(dir)} {
				_, err := reader.Load()
				require.ErrorContains(t, err, says)
				require.ErrorContains(t, err, f.Path())
				_, err = reader.Update(func(*access.Keys) error { return nil })
				require.ErrorContains(t, err, says, "it is not written over either")
			}
		})
	}
}

func replace(path string, make func() error) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return make()
}

func edit(path, from, to string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		return fmt.Errorf("%s is not in %s", from, text)
	}
	return os.WriteFile(path, []byte(changed), 0o600)
}

// TestNoFlippedBitOpensOrClosesAnything flips a bit of each byte of the file: it
// is refused, or says the same as before.
func TestNoFlippedBitOpensOrClosesAnything(t *testing.T) {
	dir := t.TempDir()
	f := keyfile.New(dir)
	create(t, f, "a")
	want := load(t, dir)
	text, err := os.ReadFile(f.Path())
	require.NoError(t, err)
	refused := 0
	for at := range text {
		flipped := slices.Clone(text)
		flipped[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(f.Path(), flipped, 0o600))
		keys, err := keyfile.New(dir).Load()
		if err != nil {
			refused++
			continue
		}
		require.Equal(t, want, keys.All(), "byte %d, %q", at, text[at])
	}
	t.Logf("%d of %d flipped bits refused, the others change nothing", refused, len(text))
	require.Greater(t, refused, len(text)*3/4, "most of the file is not white space")
}

func TestUpdatesOfManyDoNotLoseEachOther(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 4 {
		f := keyfile.New(dir) // as a process of its own would have
		all.Go(func() {
			for j := range 5 {
				_, err := f.Update(func(k *access.Keys) error {
					_, _, err := k.Create(access.Spec{Name: fmt.Sprint(i, ".", j), Scopes: access.Scopes()}, time.Now())
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Len(t, load(t, dir), 20)
}

func TestRootMakesTheFileForTheOwnerOfTheDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		prove.CannotRun(t, 12, "root", "only root can give files away")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chown(dir, 12345, 23456))
	f := keyfile.New(dir)
	create(t, f, "a")
	for _, name := range []string{keyfile.Name, "keys.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.EqualValues(t, 12345, info.Sys().(*syscall.Stat_t).Uid)
		require.EqualValues(t, 23456, info.Sys().(*syscall.Stat_t).Gid)
	}
}

func TestRootGivesNoFileAwayThatWasThere(t *testing.T) {
	if os.Geteuid() != 0 {
		prove.CannotRun(t, 12, "root", "only root can give files away")
	}
	dir := t.TempDir()
	own := filepath.Join(t.TempDir(), "root's own")
	require.NoError(t, os.WriteFile(own, []byte("x"), 0o600))
	require.NoError(t, os.Link(own, filepath.Join(dir, "keys.lock")))
	require.NoError(t, os.Symlink(own, filepath.Join(dir, "keys.json.next")))
	require.NoError(t, os.Chown(dir, 12345, 23456))
	f := keyfile.New(dir)
	_, err := f.Update(func(*access.Keys) error { return nil })
	require.ErrorContains(t, err, "missing although there were keys", "the lock is not empty")
	info, err := os.Stat(own)
	require.NoError(t, err)
	require.Zero(t, info.Sys().(*syscall.Stat_t).Uid)
	require.NoError(t, os.Remove(filepath.Join(dir, "keys.lock")))
	create(t, f, "a")
	text, err := os.ReadFile(own)
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
}

// TestAFileThatCouldNotBeReadIsNotWritten: whoever makes keys must not be able
// to keep the server from starting.
func TestAFileThatCouldNotBeReadIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	f := keyfile.New(dir)
	create(t, f, "first")
	prefixes := slices.Repeat([]string{strings.Repeat(`"`, 255)}, access.MaxTopicPrefixes) // of which JSON makes twice as much
	_, err := f.Update(func(k *access.Keys) error {
		for i := range 1400 {
			if _, _, err := k.Create(access.Spec{Name: fmt.Sprint(i), Scopes: []access.Scope{access.Read}, TopicPrefixes: prefixes}, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	var refused *access.SpecError
	require.ErrorAs(t, err, &refused)
	require.Len(t, load(t, dir), 1)
}
