package proc_test

import (
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"sekali/loadtest/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mebibyte = 1 << 20

func TestASamplerSeesMemoryCPUTimeAndOpenFilesGrow(t *testing.T) {
	sampler := proc.Start(os.Getpid(), time.Hour)
	used := make([]byte, 64*mebibyte)
	for i := range used { // a page counts once it is written
		used[i] = 1
	}
	for range 8 {
		file, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer file.Close() //nolint:errcheck // Nothing was written.
	}
	for begin := cpuTime(t); cpuTime(t)-begin < 50*time.Millisecond; { // The time of this process is what ends it.
	}
	samples := sampler.Stop()
	runtime.KeepAlive(used)

	require.NoError(t, samples.Err)
	require.Len(t, samples.List, 2, "the first and the last; the time between is longer than the test")
	first, last := samples.List[0], samples.List[1]
	require.Greater(t, last.RSS, first.RSS+32*mebibyte)
	require.Equal(t, last.RSS, samples.MaxRSS())
	require.GreaterOrEqual(t, samples.PeakRSS, last.RSS)
	require.GreaterOrEqual(t, samples.CPUTime(), 50*time.Millisecond)
	require.Positive(t, samples.CPUPercent())
	require.GreaterOrEqual(t, last.Files, first.Files+8)
}

// cpuTime is what this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	samples := proc.Start(os.Getpid(), time.Hour).Stop()
	require.NoError(t, samples.Err)
	return samples.List[0].CPU
}

func TestASamplerTakesSamplesUntilItIsStopped(t *testing.T) {
	sampler := proc.Start(os.Getpid(), time.Millisecond)
	begin := cpuTime(t)
	for cpuTime(t)-begin < 30*time.Millisecond { // as above
	}
	samples := sampler.Stop()
	require.NoError(t, samples.Err)
	require.Greater(t, len(samples.List), 2)
	for i := range samples.List[1:] {
		require.Greater(t, samples.List[i+1].At, samples.List[i].At)
		require.GreaterOrEqual(t, samples.List[i+1].CPU, samples.List[i].CPU)
	}
}

func TestTheEndOfTheProcessIsAnError(t *testing.T) {
	child := exec.CommandContext(t.Context(), "sleep", "60")
	require.NoError(t, child.Start())
	sampler := proc.Start(child.Process.Pid, time.Hour)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	samples := sampler.Stop()
	require.Error(t, samples.Err)
	require.Len(t, samples.List, 1)
}

func TestAProcessThatIsNotThereIsAnError(t *testing.T) {
	child := exec.CommandContext(t.Context(), "true")
	require.NoError(t, child.Run())
	samples := proc.Start(child.Process.Pid, time.Millisecond).Stop()
	require.ErrorIs(t, samples.Err, os.ErrNotExist)
	require.Zero(t, samples.MaxRSS())
	require.Zero(t, samples.CPUPercent())
}

func TestADirectoryIsMeasuredInBlocks(t *testing.T) {
	dir := t.TempDir()
	empty, err := proc.DirBytes(dir)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "below"), 0o700))
	writeSynced(t, filepath.Join(dir, "below", "full"), mebibyte)
	hole, err := os.Create(filepath.Join(dir, "hole"))
	require.NoError(t, err)
	require.NoError(t, hole.Truncate(1<<30))
	require.NoError(t, hole.Close())
	full, err := proc.DirBytes(dir)
	require.NoError(t, err)
	require.GreaterOrEqual(t, full-empty, int64(mebibyte))
	require.Less(t, full-empty, int64(2*mebibyte), "a hole takes no blocks")
}

// writeSynced writes bytes that no file system can leave out or put off.
func writeSynced(t *testing.T, name string, size int64) {
	t.Helper()
	file, err := os.Create(name)
	require.NoError(t, err)
	_, err = io.CopyN(file, rand.Reader, size)
	require.NoError(t, err)
	require.NoError(t, file.Sync())
	require.NoError(t, file.Close())
}

func TestADirectoryThatIsNotThereIsAnError(t *testing.T) {
	_, err := proc.DirBytes(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
