package container_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	baseImage   = "localhost/sekali-test-base"
	image       = "localhost/sekali-test"
	testVersion = "9.9.9-container-test"
)

// goEnv is where this machine keeps Go.
type goEnv struct{ GOROOT, GOMODCACHE, GOCACHE, GOMOD string }

// readGoEnv also fetches the modules that are not there yet, so that the build
// in the container needs no network.
func readGoEnv(t *testing.T) goEnv {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "-json").Output()
	require.NoError(t, err)
	var env goEnv
	require.NoError(t, json.Unmarshal(out, &env))

	download := exec.CommandContext(t.Context(), "go", "mod", "download")
	download.Dir = filepath.Dir(env.GOMOD)
	out, err = download.CombinedOutput()
	require.NoError(t, err, "go mod download: %s", out)
	return env
}

// buildBase makes the image that stands in for a distribution with Go: a
// skeleton of directories. The build mounts this machine's own over them, so
// nothing of any size is copied. It returns the mounts.
func buildBase(t *testing.T, e *engine, env goEnv) (mounts []string) {
	t.Helper()
	rootfs := filepath.Join(e.dir, "base", "rootfs")
	for _, name := range []string{"usr", "tmp", "etc", "proc", "dev", "sys", "goroot", "goproxy", "gocache"} {
		require.NoError(t, os.MkdirAll(filepath.Join(rootfs, name), 0o755))
	}
	mounts = []string{
		"/usr:/usr:ro",
		env.GOROOT + ":/goroot:ro",
		filepath.Join(env.GOMODCACHE, "cache", "download") + ":/goproxy:ro",
		// Saves compiling everything anew.
		env.GOCACHE + ":/gocache",
	}
	// Links into /usr on most distributions, directories on some.
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		here, there := filepath.Join("/", name), filepath.Join(rootfs, name)
		if target, err := os.Readlink(here); err == nil {
			require.NoError(t, os.Symlink(target, there))
		} else if _, err := os.Stat(here); err == nil {
			require.NoError(t, os.Mkdir(there, 0o755))
			mounts = append(mounts, here+":"+here+":ro")
		}
	}
	recipe := "FROM scratch\nCOPY rootfs /\nENV PATH=/goroot/bin:/usr/bin:/bin GOTOOLCHAIN=local GOCACHE=/gocache\n"
	file := filepath.Join(e.dir, "base", "Containerfile")
	require.NoError(t, os.WriteFile(file, []byte(recipe), 0o600))
	e.run(time.Minute, "buildah", "bud", "--isolation", "chroot", "-t", baseImage, "-f", file, filepath.Dir(file))
	return mounts
}

// buildImage builds the image from the Dockerfile of this repository.
func buildImage(t *testing.T, e *engine) {
	t.Helper()
	env := readGoEnv(t)
	// The docker format has the health check, the OCI format does not.
	args := []string{
		"bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "-t", image,
		"--build-arg", "BUILD_IMAGE=" + baseImage,
		"--build-arg", "GOPROXY=file:///goproxy",
		"--build-arg", "GOFLAGS=" + os.Getenv("GOFLAGS"),
		"--build-arg", "VERSION=" + testVersion,
	}
	for _, mount := range buildBase(t, e, env) {
		args = append(args, "-v", mount)
	}
	e.run(10*time.Minute, "buildah", append(args, filepath.Dir(env.GOMOD))...)
}

// imageConfig is what the image says of itself.
type imageConfig struct {
	User        string
	Entrypoint  []string
	Cmd         []string
	Volumes     map[string]struct{}
	StopSignal  string
	Healthcheck struct {
		Test     []string
		Interval time.Duration
	}
}

func inspectImage(t *testing.T, e *engine) imageConfig {
	t.Helper()
	var inspected struct {
		Docker struct{ Config imageConfig }
	}
	out := e.run(time.Minute, "buildah", "inspect", "--type", "image", image)
	require.NoError(t, json.Unmarshal([]byte(out), &inspected))
	return inspected.Docker.Config
}

// imageFiles lists everything in the image.
func imageFiles(t *testing.T, e *engine) []string {
	t.Helper()
	root := e.podman("image", "mount", image)
	var names []string
	require.NoError(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != root {
			names = append(names, path[len(root):])
		}
		return err
	}))
	e.podman("image", "unmount", image)
	return names
}
