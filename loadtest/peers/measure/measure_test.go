package measure_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/measure"
)

func TestTheRecorderCountsAnswersAndTheirLatencies(t *testing.T) {
	r := measure.NewRecorder(100)
	for range 990 {
		r.Add(time.Millisecond, 1, 0)
	}
	for range 10 {
		r.Add(50*time.Millisecond, 0, 1)
	}
	tally := r.Finish()
	require.Equal(t, []int64{1000, 990, 10}, []int64{tally.Requests, tally.Stored, tally.Duplicates})
	require.InDelta(t, 1, tally.Latency.P50, 0.01)
	require.InDelta(t, 50, tally.Latency.P999, 0.1)
	require.InDelta(t, 50, tally.Latency.Max, 0.1)
	require.Len(t, tally.Series, 10)
	for i, p := range tally.Series {
		require.Equal(t, int64(100*(i+1)), p.Events)
	}
}

func TestTheSeriesEndsWithTheLastEvent(t *testing.T) {
	r := measure.NewRecorder(100)
	r.Add(time.Millisecond, 250, 0)
	r.Add(time.Millisecond, 30, 0)
	tally := r.Finish()
	require.Equal(t, int64(250), tally.Series[0].Events)
	require.Equal(t, int64(280), tally.Series[1].Events)
}

// child starts a process that lives until the test ends.
func child(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It may have been killed by the test.
		_ = cmd.Wait()         // It was killed: that is its error.
	})
	return cmd.Process.Pid
}

func TestTheTreeIsAProcessAndWhatItHasStarted(t *testing.T) {
	pid := child(t)
	tree, err := measure.Tree(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), tree[0])
	require.Contains(t, tree, pid)
	require.True(t, measure.Alive(pid))
}

func TestTheWatchSeesMemoryAndCPUTime(t *testing.T) {
	w, err := measure.NewWatch(os.Getpid())
	require.NoError(t, err)
	usage, err := w.Stop()
	require.NoError(t, err)
	require.Greater(t, usage.PeakBytes, int64(1<<20))
	require.GreaterOrEqual(t, usage.CPUSeconds, 0.0)
}

func TestTheWatchOfAProcessThatIsNotThereIsAnError(t *testing.T) {
	_, err := measure.NewWatch(1 << 30)
	require.Error(t, err)
	require.False(t, measure.Alive(1<<30))
}

// writeSynced writes bytes that no file system can make smaller.
func writeSynced(t *testing.T, path string, n int) {
	t.Helper()
	content := make([]byte, n)
	_, _ = rand.Read(content) // It never fails.
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = f.Write(content)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func TestDiskBytesAreThoseOfAllFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o750))
	for _, name := range []string{"one", "a/two", "a/b/three"} {
		writeSynced(t, filepath.Join(dir, name), 100_000)
	}
	n, err := measure.DiskBytes(dir)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, int64(300_000))
}

func TestTheMachineIsDescribed(t *testing.T) {
	m, err := measure.ThisMachine(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, m.Cores)
	for _, text := range []string{m.CPU, m.OS, m.Kernel, m.FileSystem, m.Go} {
		require.NotEmpty(t, text)
	}
}
