package container_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// engine runs buildah and podman on a storage of its own, which is gone, with
// all containers, volumes and images in it, when the test ends.
type engine struct {
	t   *testing.T
	dir string
}

// requireTools skips the test where it cannot run. Where it was asked for, in
// CI or by SEKALI_TEST_CONTAINER=1, that is a failure.
func requireTools(t *testing.T) {
	t.Helper()
	var missing []string
	if os.Getuid() != 0 {
		missing = append(missing, "root")
	}
	for _, tool := range []string{"buildah", "podman", "runc"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) == 0 {
		return
	}
	complaint := "missing: " + strings.Join(missing, ", ") + "; apptest/install.sh installs the tools, as root"
	if os.Getenv("CI") != "" || os.Getenv("SEKALI_TEST_CONTAINER") == "1" {
		t.Fatal(complaint)
	}
	t.Skip(complaint)
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "sekali-container-") //nolint:usetesting // t.TempDir would delete through mounts; see cleanUp
	require.NoError(t, err)
	e := &engine{t: t, dir: dir}
	t.Cleanup(e.cleanUp)
	return e
}

func (e *engine) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"rm", "--all", "--force", "--time", "0"}, {"volume", "prune", "--force"}, {"rmi", "--all", "--force"}} {
		if out, err := e.command(ctx, "podman", args...); err != nil {
			e.t.Errorf("clean up: podman %v: %v\n%s", args, err, out)
		}
	}
	// The build mounts parts of this machine. Whatever should still be mounted
	// must not be deleted through.
	if err := unmountBelow(e.dir); err != nil {
		e.t.Errorf("clean up: %s is left behind: %v", e.dir, err)
		return
	}
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Errorf("clean up: %v", err)
	}
}

// unmountBelow takes down every mount below dir, and returns an error when one
// remains.
func unmountBelow(dir string) error {
	const attempts = 3 // mounts may lie upon each other
	var left []string
	for range attempts {
		table, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		left = left[:0]
		for line := range strings.Lines(string(table)) {
			if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
				left = append(left, fields[4])
			}
		}
		if len(left) == 0 {
			return nil
		}
		for _, point := range left {
			_ = syscall.Unmount(point, syscall.MNT_DETACH) // the next look at the table judges
		}
	}
	return fmt.Errorf("still mounted: %v", left)
}

func (e *engine) logFile(name string) string { return filepath.Join(e.dir, name+".log") }

// run runs buildah or podman and returns what it printed; the test fails when
// it fails.
func (e *engine) run(timeout time.Duration, tool string, args ...string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), timeout)
	defer cancel()
	out, err := e.command(ctx, tool, args...)
	require.NoError(e.t, err, "%s %s\n%s", tool, strings.Join(args, " "), out)
	return strings.TrimSpace(out)
}

func (e *engine) podman(args ...string) string {
	e.t.Helper()
	return e.run(time.Minute, "podman", args...)
}

// try is podman where failure is an answer. It may be called from any
// goroutine.
func (e *engine) try(args ...string) error {
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	defer cancel()
	_, err := e.command(ctx, "podman", args...)
	return err
}

// command returns standard output, or on failure standard error. The storage
// driver vfs works on every file system and mounts nothing.
func (e *engine) command(ctx context.Context, tool string, args ...string) (string, error) {
	global := []string{"--root", filepath.Join(e.dir, "root"), "--runroot", filepath.Join(e.dir, "run"), "--storage-driver", "vfs"}
	if tool == "podman" {
		global = append(global, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--tmpdir", filepath.Join(e.dir, "tmp"))
	}
	cmd := exec.CommandContext(ctx, tool, append(global, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+e.dir)
	cmd.WaitDelay = 5 * time.Second // for pipes that a killed command's children hold
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}
