package crashvfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sekali/persistence/crashvfs"
)

func TestACommitIsRecordedWithItsSync(t *testing.T) {
	d, dir := newDisk(t)
	db := openDatabase(t, d, dir)
	mustExec(t, db, "create table t (a)")
	d.Mark(7)
	before := len(d.Ops())
	mustExec(t, db, "insert into t values (1)")
	ops := d.Ops()[before:]
	require.Equal(t, "sync", ops[len(ops)-1].Kind.String())
	for _, o := range ops[:len(ops)-1] {
		require.Equal(t, "a.db-wal", o.File)
		require.Equal(t, crashvfs.Write, o.Kind)
		require.Len(t, o.Data, o.Size)
	}
	require.Equal(t, crashvfs.Op{Kind: crashvfs.Mark, Note: 7}, d.Ops()[before-1])
}

func TestTheRecordRebuildsTheFiles(t *testing.T) {
	d, dir := newDisk(t)
	db := openDatabase(t, d, dir)
	mustExec(t, db, "create table t (a)")
	for range 20 {
		mustExec(t, db, "insert into t values (randomblob(2000))")
	}
	var busy, frames, moved int
	require.NoError(t, db.QueryRowContext(t.Context(), "pragma wal_checkpoint(truncate)").Scan(&busy, &frames, &moved))
	mustExec(t, db, "insert into t values (1)")

	p := crashvfs.NewPlatter(nil)
	for _, o := range d.Ops() {
		p.Apply(o)
	}
	files, err := crashvfs.ReadImage(dir)
	require.NoError(t, err)
	delete(files, "a.db-shm") // is never needed after a crash
	all := p.Systematic()
	_, names := p.Uncertain()
	require.Equal(t, files.Sum(), p.Image(crashvfs.Survival{Fates: all[len(all)-1].Fates, Names: names}).Sum())
	require.Equal(t, 21, rowsOn(t, p.Image(crashvfs.Survival{Names: names})), "commits are synced")
}

func TestWithoutTheSyncACommitMayBeLost(t *testing.T) {
	d, dir := newDisk(t)
	db := openDatabase(t, d, dir)
	mustExec(t, db, "create table t (a)")
	d.SetHook(func(o crashvfs.Op) *crashvfs.Fault {
		if o.Kind == crashvfs.Sync && o.File == "a.db-wal" {
			return &crashvfs.Fault{}
		}
		return nil
	})
	mustExec(t, db, "insert into t values (1)")
	d.SetHook(nil)
	p := crashvfs.NewPlatter(nil)
	for _, o := range d.Ops() {
		p.Apply(o)
	}
	_, names := p.Uncertain()
	require.Equal(t, 0, rowsOn(t, p.Image(crashvfs.Survival{Names: names})))
}

func TestAFaultIsTheErrorThatSQLiteKnowsForIt(t *testing.T) {
	for _, tc := range []struct {
		kind  crashvfs.Kind
		errno syscall.Errno
		want  int
	}{
		{crashvfs.Write, syscall.EIO, sqlite3.SQLITE_IOERR_WRITE},
		{crashvfs.Write, syscall.ENOSPC, sqlite3.SQLITE_FULL},
		{crashvfs.Sync, syscall.EIO, sqlite3.SQLITE_IOERR_FSYNC},
		{crashvfs.LockShared, syscall.EIO, sqlite3.SQLITE_IOERR_SHMLOCK},
	} {
		t.Run(tc.kind.String()+" "+tc.errno.Error(), func(t *testing.T) {
			d, dir := newDisk(t)
			db := openDatabase(t, d, dir)
			mustExec(t, db, "create table t (a)")
			faults := 0
			d.SetHook(func(o crashvfs.Op) *crashvfs.Fault {
				if o.Kind != tc.kind {
					return nil
				}
				faults++
				return &crashvfs.Fault{Err: tc.errno}
			})
			_, err := db.ExecContext(t.Context(), "insert into t values (1)")
			var e *sqlite.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.want, e.Code())
			require.Positive(t, faults)
			d.SetHook(nil)
			mustExec(t, db, "insert into t values (1)")
		})
	}
}

func TestAnOpenThatFailsLeavesNothingOpen(t *testing.T) {
	d, dir := newDisk(t)
	d.SetHook(func(o crashvfs.Op) *crashvfs.Fault {
		if o.Kind == crashvfs.Open {
			return &crashvfs.Fault{Err: syscall.EMFILE}
		}
		return nil
	})
	db := openDatabase(t, d, dir)
	require.Error(t, db.PingContext(t.Context()))
	require.NoFileExists(t, filepath.Join(dir, "a.db"))
	d.SetHook(nil)
	mustExec(t, db, "create table t (a)")
}

func TestAShortWriteLeavesItsPart(t *testing.T) {
	d, dir := newDisk(t)
	f, err := d.OpenFile(filepath.Join(dir, "f"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	d.SetHook(func(o crashvfs.Op) *crashvfs.Fault {
		if o.Kind == crashvfs.Write {
			return &crashvfs.Fault{Err: syscall.ENOSPC, Part: 3}
		}
		return nil
	})
	n, err := f.WriteAt([]byte("hello"), 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 3, n)
	files, err := crashvfs.ReadImage(dir)
	require.NoError(t, err)
	require.Equal(t, "hel", string(files["f"]))
}

func TestADiskIsNotClosedUnderAnOpenFile(t *testing.T) {
	dir := t.TempDir()
	d, err := crashvfs.New(dir)
	require.NoError(t, err)
	db := openDatabase(t, d, dir)
	mustExec(t, db, "create table t (a)")
	require.Error(t, d.Close())
	require.NoError(t, db.Close())
	require.NoError(t, d.Close())
}

func TestWhatIsDonePastSQLiteIsRecordedToo(t *testing.T) {
	d, dir := newDisk(t)
	path := filepath.Join(dir, "f")
	f, err := d.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("x"), 2)
	require.NoError(t, err)
	require.NoError(t, errors.Join(f.Truncate(2), f.Sync(), f.WriteBack(), f.Close()))
	require.NoError(t, d.Rename(path, path+"2"))
	require.NoError(t, d.SyncDir(dir))
	require.NoError(t, d.SyncDir(t.TempDir()), "another folder is none of its business")
	require.NoError(t, d.Remove(path+"2"))
	require.Equal(t, []string{"create", "write", "truncate", "sync", "rename", "sync-dir"}, kinds(d.Ops(), "f"))
	require.Equal(t, []string{"sync-dir", "delete"}, kinds(d.Ops(), "f2"))
	require.ErrorIs(t, d.Remove(path), os.ErrNotExist)
}

func TestARelativeFolderIsRefused(t *testing.T) {
	_, err := crashvfs.New("here")
	require.ErrorContains(t, err, "absolute")
}
