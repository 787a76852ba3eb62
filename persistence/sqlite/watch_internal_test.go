package sqlite

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

func TestADatabaseThatIsTakenAwayWhileInUseStopsTheStore(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"the database is removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"the database is replaced by a copy": func(t *testing.T, path string) {
			copyFile(t, path, path+".copy")
			require.NoError(t, os.Rename(path+".copy", path))
		},
		"the log is removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path+"-wal")) },
		"the directory is moved": func(t *testing.T, path string) {
			require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".old"))
		},
		"another file has its name": func(t *testing.T, path string) {
			copyFile(t, "watch_internal_test.go", path+".x")
			require.NoError(t, os.Rename(path+".x", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, filepath.Join(t.TempDir(), "data"), Options{watchEvery: time.Millisecond})
			mustAppend(t, s, batchOf("t", 0, 5, 10))
			s.checkFiles()
			require.NoError(t, s.Ready(), "the control")
			harm(t, s.path)
			<-s.Failed()
			require.ErrorIs(t, s.Ready(), sekali.ErrStorageFailed)
			require.ErrorContains(t, s.Ready(), "was removed or replaced while the server runs")
			_, err := s.AppendBatch(t.Context(), batchOf("t", 5, 5, 10))
			require.ErrorIs(t, err, sekali.ErrStorageFailed)
		})
	}
}

func TestAPanicInTheStoreIsItsFailure(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 0, 5, 10))
	require.NoError(t, s.Ready(), "the control")
	s.run("a test", func() { panic("planted") })
	<-s.Failed()
	require.ErrorContains(t, s.Ready(), "planted")

	s = openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 0, 5, 10))
	indexes := s.writer.indexes.events
	s.writer.indexes.events = nil
	_, err := s.AppendBatch(t.Context(), batchOf("t", 5, 5, 10))
	require.ErrorIs(t, err, sekali.ErrStorageFailed)
	require.ErrorContains(t, err, "panic: ")
	<-s.Failed()
	s.writer.indexes.events = indexes
	require.NoError(t, s.takeTurn(t.Context()), "the turn was given back")
	s.endTurn()
}

func TestAPanicOfTheJudgeIsAnError(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	seqs := make([]int64, 3*judgeShape)
	for _, n := range []int{judgeShape + 1, len(seqs)} {
		_, err := (&judge{db: s.writer.judge.db}).known(seqs[:n], nil)
		require.ErrorContains(t, err, "panic: ")
	}
}

// TestNoConnectionOpensAFileLater: at the moment of need the process might be
// out of descriptors.
func TestNoConnectionOpensAFileLater(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{watchEvery: time.Hour})
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("needs /proc")
		}
		return len(files)
	}
	before := open()
	var held sync.WaitGroup
	pools := map[*sql.DB]int{s.readers: s.options.Readers, s.aside: 1, s.writer.judge.db: judgeConns + 1, s.indexes.tables: tableConns}
	release := make(chan struct{})
	for db, n := range pools {
		require.Equal(t, n, db.Stats().OpenConnections)
		for range n {
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			var rows int
			require.NoError(t, conn.QueryRowContext(t.Context(), "select count(*) from events").Scan(&rows))
			held.Go(func() { <-release; _ = conn.Close() })
		}
		require.Equal(t, n, db.Stats().OpenConnections)
	}
	mustAppend(t, s, batchOf("t", 0, 100, 1000))
	withWriter(t, s, func() error { _, err := s.checkpoint(passive); return err })
	require.Equal(t, before, open())
	close(release)
	held.Wait()
}

func TestReadinessFollowsTheStore(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{watchEvery: time.Hour})
	require.NoError(t, s.Ready())
	full := &sekali.Error{Code: sekali.CodeStorageFull}
	require.ErrorIs(t, s.writeFailed("test", errFull()), full)
	require.ErrorIs(t, s.Ready(), full)
	_, err := s.AppendBatch(t.Context(), batchOf("t", 0, 1, 1))
	require.ErrorIs(t, err, full, "without asking the disk")
	s.lookForRoom()
	require.NoError(t, s.Ready())

	require.ErrorIs(t, s.writeFailed("test", errFull()), full)
	require.ErrorIs(t, s.writeFailed("test", context.Canceled), &sekali.Error{Code: sekali.CodeStorageBusy})
	require.ErrorIs(t, s.Ready(), full)
	require.ErrorIs(t, s.writeFailed("test", os.ErrInvalid), sekali.ErrStorageFailed)
	s.lookForRoom()
	require.ErrorIs(t, s.Ready(), sekali.ErrStorageFailed, "room does not mend it")
}
