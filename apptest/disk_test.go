package apptest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// disk is a file system of its own. Its image is a file, "" for memory.
type disk struct {
	t          testing.TB
	kind       string // ext4, xfs or tmpfs
	image, dir string
}

// newDisk mounts a new file system of this size. Where that is not possible,
// the test cannot run.
func newDisk(t testing.TB, row int, kind string, mebibytes int) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		prove.CannotRun(t, row, "root", "mounting a file system needs root")
	}
	d := &disk{t: t, kind: kind, dir: filepath.Join(t.TempDir(), "disk")}
	require.NoError(t, os.Mkdir(d.dir, 0o700))
	if kind == "tmpfs" {
		if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes)); err != nil {
			prove.CannotRun(t, row, "mount", "mount tmpfs: "+err.Error())
		}
		t.Cleanup(d.unmount)
		return d
	}
	if _, err := exec.LookPath("mkfs." + kind); err != nil {
		prove.CannotRun(t, row, kind, err.Error())
	}
	d.image = d.dir + ".image"
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, int64(mebibytes)<<20))
	command(t, "mkfs."+kind, "-q", d.image)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		prove.CannotRun(t, row, kind, fmt.Sprintf("mount %s on a loop device: %s", kind, out))
	}
	t.Cleanup(d.unmount)
	return d
}

// command runs a program that must succeed.
func command(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput() //nolint:noctx // It also runs while the test is being cleaned up.
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
}

func (d *disk) mount() {
	d.t.Helper()
	command(d.t, "mount", "-o", "loop", d.image, d.dir)
}

// unmount takes the file system away; it may have been already.
func (d *disk) unmount() {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		err := syscall.Unmount(d.dir, 0)
		return err == nil || errors.Is(err, syscall.EINVAL) // not mounted
	}, patience, shortly, "%s stays busy", d.dir)
}

// discard unmounts the file system and gives its space back before the test
// ends.
func (d *disk) discard() {
	d.t.Helper()
	d.unmount()
	require.NoError(d.t, os.RemoveAll(d.image))
}

// cutPower takes the power away from the disk, and lets it come back when the
// process p is gone: what p wrote and the disk did not yet get is lost. The
// process is stopped before, so that no fsync is on its way: one that returns
// while its disk vanishes would be an answer that nobody owes anything for.
func (d *disk) cutPower(p *process, how cut) {
	d.t.Helper()
	p.signal(syscall.SIGSTOP)
	require.Eventually(d.t, func() bool { return stopped(d.t, p.pid()) }, patience, shortly)
	how(d)
	p.kill()
	d.unmount()
	if _, err := os.Stat(d.image + ".cut"); err == nil {
		require.NoError(d.t, os.Rename(d.image+".cut", d.image))
	}
	d.mount()
}

// cut is a way to lose what the disk has not got yet.
type cut func(d *disk)

// byShutdown has the file system drop everything that it has not written and
// not even complete its log.
func byShutdown(d *disk) {
	const shutdown, noFlush = 0x8004587d, uint32(2) // FS_IOC_SHUTDOWN of ext4 and xfs
	root, err := os.Open(d.dir)
	require.NoError(d.t, err)
	defer root.Close() //nolint:errcheck // Nothing was written.
	flags := noFlush
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), shutdown, uintptr(unsafe.Pointer(&flags)))
	require.Zero(d.t, errno, errno.Error())
}

// byCopy continues with a copy of what the disk has at this moment.
func byCopy(d *disk) {
	command(d.t, "cp", "--sparse=always", d.image, d.image+".cut")
}

// stopped reports whether every thread of a process has come to a halt.
func stopped(t testing.TB, pid int) bool {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		_, state, _ := strings.Cut(string(text), ") ") // behind the name, which may hold anything
		if !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// fill takes all the space that is left, and returns what gives it back.
func (d *disk) fill() (free func()) {
	d.t.Helper()
	ballast, err := os.Create(filepath.Join(d.dir, "ballast"))
	require.NoError(d.t, err)
	defer ballast.Close() //nolint:errcheck // It holds nothing.
	size := int64(0)
	for step := int64(16 << 20); step >= 4<<10; {
		switch err := syscall.Fallocate(int(ballast.Fd()), 0, size, step); err {
		case nil:
			size += step
		case syscall.ENOSPC:
			step /= 2
		default:
			require.NoError(d.t, err)
		}
	}
	return func() { require.NoError(d.t, os.Remove(ballast.Name())) }
}
