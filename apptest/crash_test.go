package apptest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

// shortly is how often a test looks.
const shortly = 2 * time.Millisecond

// TestTheDuplicateCounterIsWrittenSoonAfterTheAnswer kills the server when its
// log shows that it has written after the last answers: what was answered two
// commits before the kill must have been counted.
func TestTheDuplicateCounterIsWrittenSoonAfterTheAnswer(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	const sent = 300
	for i := range sent {
		s.publish(event("t", fmt.Sprint(i%3)))
	}
	want := s.stats()
	require.EqualValues(t, sent-3, want.DuplicateDropped)
	written := func() time.Time {
		info, err := os.Stat(filepath.Join(dir, "sekali.db-wal"))
		require.NoError(t, err)
		return info.ModTime()
	}
	for range 2 {
		before := written()
		s.publish(event("t", "0"))
		require.Eventually(t, func() bool { return written().After(before) }, patience, shortly)
	}
	s.kill()
	s = startServer(t, dir)
	got := s.stats()
	require.GreaterOrEqual(t, got.DuplicateDropped, want.DuplicateDropped)
	require.Equal(t, want.UniqueProcessed, got.UniqueProcessed)
	detail, err := s.Event(t.Context(), "t", "1")
	require.NoError(t, err)
	require.EqualValues(t, sent/3-1, detail.DuplicateCount)
}

// TestAnIOErrorStopsTheServerWithItsOwnExitCode limits the size of files, so
// that writing to the WAL fails in the middle of the work.
func TestAnIOErrorStopsTheServerWithItsOwnExitCode(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	limited := exec.Command("sh", "-c", `ulimit -f 2048; exec "$0" "$@"`, binary,
		"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json")
	s := served(t, launchCommand(t, limited))
	run := startLoad(s, l, loadOptions{goOn: []sekali.Code{sekali.CodeStorageFailed}})
	require.Equal(t, 74, s.wait())
	run.wait(t)
	require.Positive(t, run.refused(sekali.CodeStorageFailed))
	require.Contains(t, s.stderr.String(), "the storage failed")

	s = startServer(t, dir)
	l.requireSound(s)
	l.resend(s)
	l.requireSound(s)
	require.Greater(t, l.acked, 100)
}
