package apptest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// memoryGroup is a control group whose processes may use so much memory and no
// more, pages of files included; the kernel kills one that needs more.
type memoryGroup struct{ dir string }

// newMemoryGroup makes a group, under version 1 or 2 of control groups. Where
// that is not possible, the test cannot run.
func newMemoryGroup(t testing.TB, row int, mebibytes int) *memoryGroup {
	t.Helper()
	if os.Geteuid() != 0 {
		prove.CannotRun(t, row, "root", "making a control group needs root")
	}
	name := fmt.Sprintf("sekali-prove-%d-%d", os.Getpid(), mebibytes)
	var why error
	for _, v := range []struct{ parent, limit, swap string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
	} {
		g := &memoryGroup{filepath.Join(v.parent, name)}
		if why = g.create(v.limit, int64(mebibytes)<<20); why != nil {
			continue
		}
		_ = os.WriteFile(filepath.Join(g.dir, v.swap), []byte(strconv.Itoa(mebibytes<<20)), 0o600) // not every kernel counts swap
		t.Cleanup(func() {
			require.Eventually(t, func() bool { return os.Remove(g.dir) == nil }, patience, shortly)
		})
		return g
	}
	prove.CannotRun(t, row, "cgroup", why.Error())
	return nil
}

func (g *memoryGroup) create(limitFile string, limit int64) error {
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return err
	}
	err := os.WriteFile(filepath.Join(g.dir, limitFile), []byte(strconv.FormatInt(limit, 10)), 0o600)
	if err != nil {
		_ = os.Remove(g.dir) // it is empty
	}
	return err
}

// launch starts the binary in the group.
func (g *memoryGroup) launch(t testing.TB, args ...string) *process {
	t.Helper()
	args = append([]string{"-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), binary}, args...)
	return launchCommand(t, exec.Command("sh", args...))
}

// memoryOf returns a figure of /proc/PID/status in MiB: VmRSS, what a process
// has now, or VmHWM, the most that it has had.
func memoryOf(t testing.TB, pid int, what string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, what+":"); found {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			require.NoError(t, err)
			return kilobytes / 1024
		}
	}
	require.Fail(t, "no "+what)
	return 0
}
