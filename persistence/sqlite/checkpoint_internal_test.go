package sqlite

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

const mebibyte = 1 << 20

// walFile is the size of the WAL's file, 0 when there is none.
func walFile(t testing.TB, s *Store) int64 {
	t.Helper()
	info, err := os.Stat(s.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	return info.Size()
}

// walUsed is how much of the WAL has not been moved into the database.
func walUsed(t testing.TB, s *Store) int64 {
	t.Helper()
	var wal walState
	withWriter(t, s, func() (err error) {
		wal, err = s.checkpoint(look)
		return err
	})
	return wal.pending
}

func eventuallyPending(t testing.TB, s *Store, below int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		pending := below // when it cannot be read, the wait goes on
		_ = s.inTurn(func() error {
			wal, err := s.checkpoint(look)
			pending = wal.pending
			return err
		})
		return pending < below
	}, time.Minute, 10*time.Millisecond)
}

// appendMebibytes stores n batches of 1 MiB.
func appendMebibytes(t testing.TB, s *Store, first, n int) {
	t.Helper()
	for i := range n {
		mustAppend(t, s, batchOf("t", (first+i)*4, 4, mebibyte/4))
	}
}

// holdRead begins a read transaction on a connection of its own, as a backup
// or the sqlite3 shell would. The returned function ends it.
func holdRead(t testing.TB, s *Store) (end func()) {
	t.Helper()
	db, err := sql.Open("sqlite", readerDSN(s.path))
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRowContext(t.Context(), "select count(*) from events").Scan(&n))
	return func() {
		require.NoError(t, tx.Rollback())
		require.NoError(t, db.Close())
	}
}

func TestTheWALStaysBoundedWhileBatchesCome(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	for round := range 8 {
		appendMebibytes(t, s, round*25, 25)
		eventuallyPending(t, s, asideBytes)
	}
	require.Less(t, walFile(t, s), int64(truncateBytes), "of 200 MiB written")
	requireUnique(t, s, 800)
}

func TestAnIdleStoreMovesItsWALIntoTheDatabase(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 0, 10, 100))
	eventuallyPending(t, s, 1)
	require.Eventually(t, func() bool { return s.walInUse.Load() == 0 }, time.Minute, 10*time.Millisecond)
}

func TestAHeldReadTransactionDoesNotStopIngest(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 1_000_000, 1, 10))
	end := holdRead(t, s)
	appendMebibytes(t, s, 0, 20) // enough for a checkpoint, which the reader stops half-way
	withWriter(t, s, func() error { _, err := s.checkpoint(passive); return err })
	withWriter(t, s, func() error { _, err := s.checkpoint(truncate); return err })
	require.Equal(t, "5000", pragma(t, s.writer.db, "busy_timeout"), "the short wait was for the checkpoint only")
	require.GreaterOrEqual(t, walUsed(t, s), int64(asideBytes), "the control: the reader did hold the WAL")
	mustAppend(t, s, batchOf("t", 2_000_000, 1, 10))
	end()
	withWriter(t, s, func() error { _, err := s.checkpoint(truncate); return err })
	require.Zero(t, walFile(t, s))
	requireUnique(t, s, 82)
}

// TestAReaderThatHoldsTheWALIsNotWaitedForAtEveryCommit has the checkpointer's
// own rule checked with a reader in the way.
func TestAReaderThatHoldsTheWALIsNotWaitedForAtEveryCommit(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 1_000_000, 1, 10))
	end := holdRead(t, s)
	defer end()
	appendMebibytes(t, s, 0, 20)
	var notBefore time.Time
	require.NoError(t, s.checkpointBySize(&notBefore))
	require.GreaterOrEqual(t, walUsed(t, s), int64(asideBytes), "the control: the reader did hold the WAL")
	require.True(t, notBefore.After(time.Now()), "the next try is later, not after the next commit")
}

func TestWritesAreRefusedWhileTheWALIsTooLarge(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	s.pressure = 2 * mebibyte
	mustAppend(t, s, batchOf("t", 1_000_000, 1, 10))
	end := holdRead(t, s)
	refused := &sekali.Error{Code: sekali.CodeWALPressure}
	n := 0
	require.Eventually(t, func() bool { // the checkpointer notes the size after a commit
		n++
		_, err := s.AppendBatch(t.Context(), batchOf("t", n*4, 4, mebibyte/4))
		return errors.Is(err, refused)
	}, time.Minute, time.Millisecond)
	end()
	require.Eventually(t, func() bool {
		_, err := s.AppendBatch(t.Context(), batchOf("u", 0, 1, 10))
		return err == nil
	}, time.Minute, 10*time.Millisecond, "it recovers by itself when the reader has gone")
}

func TestTheWALIsEmptyAfterClose(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	appendMebibytes(t, s, 0, 2)
	require.Positive(t, walFile(t, s))
	require.NoError(t, s.Close())
	require.Zero(t, walFile(t, s))
	require.NoError(t, s.Close(), "a second Close does nothing")

	s = openTest(t, dir, Options{})
	end := holdRead(t, s)
	mustAppend(t, s, batchOf("u", 0, 10, 10))
	require.NoError(t, s.Close(), "a reader in the way is not an error")
	end()
	s = openTest(t, dir, Options{})
	requireUnique(t, s, 18)
}
