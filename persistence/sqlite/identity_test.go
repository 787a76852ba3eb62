package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/persistence/sqlite"
)

const databaseFile = "sekali.db"

// execute runs statements on the database file as another program would.
func execute(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	require.NoError(t, db.Close())
}

func openStore(t testing.TB, dir string, o sqlite.Options) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) }) // a second Close does nothing
	return store
}

func TestAFileThatIsNotOursIsRefusedAndLeftAsItWas(t *testing.T) {
	sekaliWith := func(statements ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, openStore(t, filepath.Dir(path), sqlite.Options{}).Close())
			execute(t, path, statements...)
		}
	}
	content := func(b []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, b, 0o600)) }
	}
	foreign := func(statements ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { execute(t, path, statements...) }
	}
	for _, tc := range []struct {
		name  string
		write func(t *testing.T, path string)
		says  string
	}{
		{"an empty file", content(nil), "is not a SQLite database"},
		{"a few bytes", content([]byte("SQLite format 3\x00")), "is not a SQLite database"},
		{"a text", content(bytes.Repeat([]byte("not a database\n"), 1000)), "is not a SQLite database"},
		{"zeros", content(make([]byte, 8192)), "is not a SQLite database"},
		{"another program's database", foreign("create table t (a)", "insert into t values (1)"), "is not a Sekali database"},
		{"another program's database in WAL mode", foreign("pragma journal_mode=wal", "create table t (a)"), "is not a Sekali database"},
		{"another program's database with our table names", foreign("create table meta (key, value)", "create table events (seq)"), "is not a Sekali database"},
		{"another application_id", foreign("pragma application_id=7", "create table t (a)"), "is not a Sekali database (application_id 0x7)"},
		{"a later schema", sekaliWith("pragma user_version=99"), "has schema version 99"},
		{"no schema version", sekaliWith("pragma user_version=0"), "has schema version 0"},
		{"no marker row", sekaliWith("delete from meta where key = 'product'"), "marker row"},
		{"another marker row", sekaliWith("update meta set value = 'other' where key = 'product'"), `marked as a store of "other"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, databaseFile)
			tc.write(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			for range 2 {
				_, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
				require.ErrorContains(t, err, tc.says)
				require.ErrorContains(t, err, databaseFile)
			}
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(before, after), "the file was changed")
			left, err := filepath.Glob(path + "?*")
			require.NoError(t, err)
			require.Empty(t, left, "nothing was put beside it")
		})
	}
}

func TestADirectoryInPlaceOfTheDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, databaseFile), 0o700))
	_, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	require.Error(t, err)
}

func TestTheRestOfAnInterruptedCreationIsReplaced(t *testing.T) {
	for _, rest := range []string{"", "half a database"} {
		dir := t.TempDir()
		fresh := filepath.Join(dir, databaseFile+".new")
		require.NoError(t, os.WriteFile(fresh, []byte(rest), 0o600))
		require.NoError(t, os.WriteFile(fresh+"-journal", []byte("half a journal"), 0o600))
		require.NoError(t, openStore(t, dir, sqlite.Options{}).Close())
		require.NoFileExists(t, fresh)
		require.NoFileExists(t, fresh+"-journal")
		require.FileExists(t, filepath.Join(dir, databaseFile))
	}
}

func TestAnUnusableDataDirectoryIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	require.ErrorContains(t, err, "data directory")
	_, err = sqlite.Open(t.Context(), filepath.Join(file, "below"), sqlite.Options{})
	require.ErrorContains(t, err, "data directory")
}

func TestTheDataDirectoryIsCreatedForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some", "where")
	openStore(t, dir, sqlite.Options{})
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}
