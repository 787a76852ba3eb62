package sqlite_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/persistence/sqlite"
)

func TestASecondOpenInThisProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := openStore(t, dir, sqlite.Options{})
	requireInUse(t, dir, os.Getpid())

	_, err := first.AppendBatch(t.Context(), sekali.Batch{})
	require.NoError(t, err, "the refusal does not disturb the holder")
	require.NoError(t, first.Close())
	openStore(t, dir, sqlite.Options{})
}

func TestARemovedLockFileLetsNobodyIn(t *testing.T) {
	dir := t.TempDir()
	first := openStore(t, dir, sqlite.Options{})
	require.NoError(t, os.Remove(filepath.Join(dir, "LOCK")))
	var inUse *sqlite.InUseError
	_, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	require.ErrorAs(t, err, &inUse)
	_, err = sqlite.Verify(t.Context(), dir, sqlite.VerifyOptions{})
	require.ErrorAs(t, err, &inUse)
	require.NoError(t, first.Close())
	openStore(t, dir, sqlite.Options{})
}

func TestASecondProcessIsRefusedUntilTheHolderEndsHoweverItEnds(t *testing.T) {
	dir := t.TempDir()
	for _, end := range []struct {
		name string
		end  func(t *testing.T, holder *exec.Cmd, stdin io.Closer)
	}{
		{"it closed the store", func(t *testing.T, holder *exec.Cmd, stdin io.Closer) {
			require.NoError(t, stdin.Close())
			require.NoError(t, holder.Wait())
		}},
		{"it was killed", func(t *testing.T, holder *exec.Cmd, _ io.Closer) {
			require.NoError(t, holder.Process.Kill())
			require.Error(t, holder.Wait())
		}},
	} {
		t.Run(end.name, func(t *testing.T) {
			holder, stdin := startHolder(t, dir)
			requireInUse(t, dir, holder.Process.Pid)
			end.end(t, holder, stdin)
			require.NoError(t, openStore(t, dir, sqlite.Options{}).Close())
		})
	}
}

// startHolder starts another process that has the store in dir open.
func startHolder(t *testing.T, dir string) (*exec.Cmd, io.Closer) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	holder := exec.CommandContext(t.Context(), self)
	holder.Env = append(os.Environ(), holdVariable+"="+dir)
	holder.Stderr = os.Stderr
	stdin, err := holder.StdinPipe()
	require.NoError(t, err)
	stdout, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "holding\n", line)
	return holder, stdin
}

func requireInUse(t *testing.T, dir string, pid int) {
	t.Helper()
	_, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	var inUse *sqlite.InUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, dir, inUse.Dir)
	require.Contains(t, inUse.Holder, fmt.Sprintf("process %d on ", pid))
	require.ErrorContains(t, err, inUse.Holder)
	require.ErrorContains(t, err, dir)
}

func TestALockFileWithoutWordsStillNamesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir, sqlite.Options{})
	require.NoError(t, os.Truncate(filepath.Join(dir, "LOCK"), 0))
	_, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	require.ErrorContains(t, err, "in use by another process")
}

func TestALockFileThatWasLeftBehindDoesNotMatter(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "LOCK"), []byte("process 1 on some host since long ago and some more words\n"), 0o600))
	openStore(t, dir, sqlite.Options{})
	words, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	require.NoError(t, err)
	require.Contains(t, string(words), fmt.Sprintf("process %d on ", os.Getpid()))
	require.NotContains(t, string(words), "long ago")
}
