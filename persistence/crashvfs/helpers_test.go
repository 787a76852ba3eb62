package crashvfs_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"sekali/persistence/crashvfs"
)

func newDisk(t *testing.T) (*crashvfs.Disk, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := crashvfs.New(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d, dir
}

// openDatabase opens a database in WAL mode with one connection on the disk.
func openDatabase(t *testing.T, d *crashvfs.Disk, dir string) *sql.DB {
	t.Helper()
	dsn := "file:" + filepath.Join(dir, "a.db") + "?vfs=" + d.Name() +
		"&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_error_rc=1&_pragma=wal_autocheckpoint(0)"
	db, err := sql.Open("sqlite", dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// rowsOn counts the rows of table t on an image, without our VFS.
func rowsOn(t *testing.T, image crashvfs.Image) int {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, image.Write(dir))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "a.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from t").Scan(&n))
	return n
}

func kinds(ops []crashvfs.Op, file string) []string {
	var list []string
	for _, o := range ops {
		if o.File == file || o.File == "" {
			list = append(list, o.Kind.String())
		}
	}
	return list
}
