package apptest_test

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// squeezeTime is how long a server is kept short of something: the three tests
// of a release run share an hour.
func squeezeTime(t testing.TB) time.Duration {
	t.Helper()
	return time.Duration(prove.Count(t, "squeeze-seconds", 1, 1200)) * time.Second
}

// descriptors is how many files and connections the server may have open.
const descriptors = "100"

// TestFault09NoDescriptorsLeft opens more connections than the server may have
// descriptors, again and again. It goes on with those it has, reads and writes
// its data, and takes new connections when there are descriptors.
func TestFault09NoDescriptorsLeft(t *testing.T) {
	seed, dir, l := prove.Seed(t), t.TempDir(), newLedger()
	s := startServerWithDescriptors(t, dir, descriptors)
	run := startLoad(s, l, loadOptions{seed: seed, senders: 4})
	run.waitAnswers(t, 50)
	floods, end := 0, time.Now().Add(squeezeTime(t))
	for floods == 0 || time.Now().Before(end) {
		reader := keptConnection(t, s)
		stop := flood(t, s, 300)
		require.Eventually(t, func() bool { return refusesToAccept(s) > floods }, patience, shortly)
		run.waitStored(t, run.stored.Load()+100)
		for _, path := range []string{"/healthz", "/readyz", "/stats", "/topics", "/events?limit=5", "/events?topic=topic-1&limit=5"} {
			require.Equal(t, http.StatusOK, reader.status(path), path)
		}
		stop()
		floods++
		requireNewConnection(t, s)
	}
	run.finish(t)
	l.requireSound(s)
	prove.Report(t, prove.Result{Row: 9, Seed: seed, Figures: []prove.Figure{
		{Name: "floods of 300 connections on 100 descriptors", Value: float64(floods)},
		{Name: "acknowledged meanwhile", Value: float64(l.acked), Unit: "events"},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}})
}

func startServerWithDescriptors(t testing.TB, dir, n string) *server {
	t.Helper()
	return served(t, launchCommand(t, exec.Command("sh", "-c", `ulimit -n "$0"; exec "$@"`, n, binary,
		"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json")))
}

// refusesToAccept counts the lines of the log that say that a connection could
// not be accepted.
func refusesToAccept(s *server) int {
	return strings.Count(s.stderr.String(), "too many open files")
}

// flood opens n connections that say nothing.
func flood(t testing.TB, s *server, n int) (stop func()) {
	t.Helper()
	var open []net.Conn
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		open = append(open, conn)
	}
	return func() {
		for _, conn := range open {
			_ = conn.Close() // the server may have closed it
		}
	}
}

// kept is one connection that the server has accepted.
type kept struct {
	t      testing.TB
	url    string
	client *http.Client
}

func keptConnection(t testing.TB, s *server) *kept {
	t.Helper()
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	k := &kept{t: t, url: s.url, client: &http.Client{Transport: transport, Timeout: patience}}
	require.Equal(t, http.StatusOK, k.status("/healthz"))
	return k
}

func (k *kept) status(path string) int {
	k.t.Helper()
	response, err := k.client.Get(k.url + path) //nolint:noctx // The client has a timeout.
	require.NoError(k.t, err)
	_, err = io.Copy(io.Discard, response.Body) // what is left would end the connection
	require.NoError(k.t, err)
	require.NoError(k.t, response.Body.Close())
	return response.StatusCode
}

func requireNewConnection(t testing.TB, s *server) {
	t.Helper()
	require.Eventually(t, func() bool {
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := (&http.Client{Transport: transport, Timeout: time.Second}).Get(s.url + "/healthz") //nolint:noctx // It has a timeout.
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, patience, 10*shortly)
}

// TestFault09ControlEnoughDescriptors shows that it is the limit that the
// flood runs into.
func TestFault09ControlEnoughDescriptors(t *testing.T) {
	s := startServerWithDescriptors(t, t.TempDir(), "1000")
	defer flood(t, s, 300)()
	requireNewConnection(t, s)
	require.Zero(t, refusesToAccept(s))
	prove.Report(t, prove.Result{Row: 9, Control: true, Figures: []prove.Figure{{Name: "connections on enough descriptors", Value: 300}}})
}
