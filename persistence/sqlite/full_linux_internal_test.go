package sqlite

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestAFullDiskIsSaidAndRecoveredFrom fills a real file system of 4 MiB.
func TestAFullDiskIsSaidAndRecoveredFrom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		prove.Skip(t, "mount", "mount a tmpfs: "+err.Error())
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	s := openTest(t, dir, Options{watchEvery: time.Millisecond})
	mustAppend(t, s, batchOf("t", 0, 5, 10))

	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 2*mebibyte), 0o600))
	for range 3 {
		_, err := s.AppendBatch(t.Context(), batchOf("t", 5, 20, mebibyte/8))
		require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageFull})
	}
	requireUnique(t, s, 5)
	require.ErrorIs(t, s.Ready(), &sekali.Error{Code: sekali.CodeStorageFull}, "2 MiB are there no more")

	require.NoError(t, os.Remove(ballast))
	eventuallyReady(t, s)
	mustAppend(t, s, batchOf("t", 5, 10, mebibyte/8))
	requireUnique(t, s, 15)
	require.NoError(t, s.Close())
	requireUnique(t, openTest(t, dir, Options{}), 15)
}
