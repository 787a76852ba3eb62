package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkNoteCommit is the price of the high-water mark for each commit.
func BenchmarkNoteCommit(b *testing.B) {
	m, err := createMark(realDisk{}, filepath.Join(b.TempDir(), markName), Mark{database: 1})
	require.NoError(b, err)
	position := Mark{Batch: 1, Seq: 2, Repeats: 3, At: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		position.Batch++
		if err := m.note(position); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, m.file.Close())
}

// BenchmarkAuditLog reads a log of 16 MiB.
func BenchmarkAuditLog(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	withWriter(b, s, func() error { s.walInUse.Store(1); return nil }) // keeps the checkpointer from its own work
	for i := range 16 {
		mustAppend(b, s, batchOf("t", i*4, 4, mebibyte/4))
	}
	b.SetBytes(walFile(b, s))
	for b.Loop() {
		r, err := auditLog(s.dir)
		require.NoError(b, err)
		require.Positive(b, r.Commits)
	}
}
