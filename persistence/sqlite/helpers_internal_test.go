package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

func openTest(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // tests of failures look at Close themselves
	return s
}

// batchOf is n events of topic with ids from first and payloads of size bytes.
func batchOf(topic string, first, n, size int) sekali.Batch {
	at := time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)
	b := sekali.Batch{At: at}
	for i := range n {
		b.Events = append(b.Events, sekali.Event{
			Topic: topic, ID: strconv.Itoa(first + i), Source: "s", Timestamp: "2025-10-24T10:30:00Z", Time: at,
			Payload: bytes.Repeat([]byte("x"), size),
		})
	}
	return b
}

func mustAppend(t testing.TB, s *Store, b sekali.Batch) sekali.Appended {
	t.Helper()
	appended, err := s.AppendBatch(t.Context(), b)
	require.NoError(t, err)
	return appended
}

func requireUnique(t testing.TB, s *Store, want int) {
	t.Helper()
	totals, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, want, totals.Unique)
	var rows int64
	require.NoError(t, s.readers.QueryRowContext(t.Context(), "select count(*) from events").Scan(&rows))
	require.EqualValues(t, want, rows, "the count agrees with the rows")
}

// withWriter runs f with the writer connection, between two batches.
func withWriter(t testing.TB, s *Store, f func() error) {
	t.Helper()
	require.NoError(t, s.takeTurn(t.Context()))
	defer s.endTurn()
	require.NoError(t, f())
}

func execWriter(t testing.TB, s *Store, statement string) {
	t.Helper()
	withWriter(t, s, func() error {
		_, err := s.writer.db.ExecContext(t.Context(), statement)
		return err
	})
}

// eventuallyReady waits until a full disk has been found to have room.
func eventuallyReady(t testing.TB, s *Store) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Ready() == nil }, time.Minute, time.Millisecond)
}

// crashed returns a copy of the data directory as a killed process leaves it.
func crashed(t testing.TB, s *Store) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "crashed")
	withWriter(t, s, func() error { return os.CopyFS(dir, os.DirFS(s.dir)) })
	return dir
}

// testDisk is the real disk with a hook in front of each operation: "open",
// "write", "sync", "rename", "remove", "syncdir", "writeback", "truncate".
type testDisk struct {
	realDisk
	before func(operation, path string, content []byte) error
}

func (d testDisk) OpenFile(path string, flag int, mode os.FileMode) (diskFile, error) {
	if err := d.before("open", path, nil); err != nil {
		return nil, err
	}
	f, err := d.realDisk.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return testFile{f, path, d.before}, nil
}

func (d testDisk) Rename(from, to string) error {
	return errors.Join(d.before("rename", to, nil), d.realDisk.Rename(from, to))
}

func (d testDisk) SyncDir(dir string) error {
	return errors.Join(d.before("syncdir", dir, nil), d.realDisk.SyncDir(dir))
}

type testFile struct {
	diskFile
	path   string
	before func(operation, path string, content []byte) error
}

func (f testFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.before("write", f.path, b); err != nil {
		return 0, err
	}
	return f.diskFile.WriteAt(b, at)
}

func (f testFile) Sync() error {
	if err := f.before("sync", f.path, nil); err != nil {
		return err
	}
	return f.diskFile.Sync()
}

// errFull is what a write to a full disk gives.
func errFull() error { return fmt.Errorf("write: %w", syscall.ENOSPC) }
