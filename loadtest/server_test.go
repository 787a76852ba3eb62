package loadtest_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest"
)

func serverOptions(t *testing.T, mode string) loadtest.ServerOptions {
	t.Helper()
	t.Setenv(childMode, mode)
	t.Setenv("SEKALI_LISTEN", "0.0.0.0:80")
	t.Setenv("TMPDIR", t.TempDir())
	executable, err := os.Executable()
	require.NoError(t, err)
	return loadtest.ServerOptions{Executable: executable}
}

func requireNoTempFiles(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "sekali-loadtest-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAServerIsStartedLoadedAndStopped(t *testing.T) {
	server, err := loadtest.StartServer(t.Context(), serverOptions(t, "serves"))
	require.NoError(t, err)
	r, err := loadtest.Run(t.Context(), small(server.URL))
	require.NoError(t, err)
	require.True(t, r.OK(), "%s %s", r.Failure, problemsOf(r))
	require.NoError(t, server.Stop())
	requireNoTempFiles(t)
}

func TestADataDirectoryOfTheCallerIsKept(t *testing.T) {
	o := serverOptions(t, "serves")
	o.DataDir = t.TempDir()
	server, err := loadtest.StartServer(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	require.DirExists(t, o.DataDir)
}

func TestAServerThatDiesAtStartSaysWhy(t *testing.T) {
	_, err := loadtest.StartServer(t.Context(), serverOptions(t, "dies"))
	require.ErrorContains(t, err, "exit status 74")
	require.ErrorContains(t, err, "the disk is on fire")
	requireNoTempFiles(t)
}

func TestAServerThatNeverServesIsStopped(t *testing.T) {
	o := serverOptions(t, "is silent")
	o.StartTimeout = time.Millisecond
	_, err := loadtest.StartServer(t.Context(), o)
	require.ErrorContains(t, err, "did not serve")
	requireNoTempFiles(t)
}

func TestAKilledServerIsGone(t *testing.T) {
	server, err := loadtest.StartServer(t.Context(), serverOptions(t, "serves"))
	require.NoError(t, err)
	require.NoError(t, server.Kill())
	_, err = net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	require.Error(t, err)
	require.Error(t, server.Stop(), "the exit status is reported")
	requireNoTempFiles(t)
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	o := serverOptions(t, "serves")
	o.Executable = filepath.Join(t.TempDir(), "absent")
	_, err := loadtest.StartServer(t.Context(), o)
	require.ErrorContains(t, err, "start the server")
	requireNoTempFiles(t)
}
