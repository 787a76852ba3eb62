package apptest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

func TestTheBannerSaysWhereItListensWhereTheDataIsAndWhatToTry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	require.Eventually(t, func() bool { return strings.Contains(p.stdout.String(), "/stats\n") }, patience, shortly)
	banner := p.stdout.String()
	require.Contains(t, banner, dir)
	address := regexp.MustCompile(`Listening on +http://(\S+)`).FindStringSubmatch(banner)
	require.Len(t, address, 2)
	require.Contains(t, banner, "curl -X POST http://"+address[1]+"/publish")
	require.Eventually(t, func() bool {
		return strings.Contains(p.stderr.String(), "level=INFO msg=serving url=http://"+address[1])
	}, patience, shortly)

	p.signal(syscall.SIGINT)
	require.Equal(t, 0, p.wait())
	require.Contains(t, p.stderr.String(), "msg=stopped")
}

// TestALogThatNobodyReadsDoesNotEndTheServer closes the other ends of standard
// output and error: a write to them is then a SIGPIPE, which ends a process
// that does not ignore it.
func TestALogThatNobodyReadsDoesNotEndTheServer(t *testing.T) {
	dir := t.TempDir()
	readEnd, writeEnd, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, readEnd.Close())
	defer func() { require.NoError(t, writeEnd.Close()) }()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())

	cmd := exec.CommandContext(t.Context(), binary, "serve", "--listen", address, "--data-dir", dir, "--log-level", "debug")
	cmd.Env = cleanEnvironment()
	cmd.Stdout, cmd.Stderr = writeEnd, writeEnd
	require.NoError(t, cmd.Start())
	c, err := client.New("http://"+address, client.Options{MaxAttempts: 1})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.Eventually(t, func() bool { return c.Ready(t.Context()) == nil }, patience, shortly)
	_, err = c.Publish(t.Context(), []sekali.Event{event("t", "1")})
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), "it drains and exits with 0")
}

func TestTheJSONLogComesWithoutBanner(t *testing.T) {
	s := startServer(t, t.TempDir())
	line := s.logLine("serving")
	require.Equal(t, "durable", line["durability"])
	require.EqualValues(t, s.pid(), line["pid"])
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.wait())
	require.Empty(t, s.stdout.String())
	require.Equal(t, "terminated", s.logLine("shutting down")["signal"])
}

func TestRelaxedDurabilityIsSaidInTheLogAndInTheAnswers(t *testing.T) {
	s := startServer(t, t.TempDir(), "--durability", "relaxed")
	s.logLine("a loss of power may take the last answered events (--durability relaxed)")
	require.Equal(t, "relaxed", s.stats().Durability)
}

func TestASecondTermStopsAtOnceAndLosesNothing(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	s := startServer(t, dir, "--shutdown-timeout", "5m", "--read-timeout", "5m")
	l.publishNew(s, 1)

	// A sender in the middle of its request holds the first shutdown up.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }() // the server is gone by then
	_, err = conn.Write([]byte("POST /publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1)) // 100 Continue: the server is reading the body
	require.NoError(t, err)

	s.signal(syscall.SIGTERM)
	s.logLine("shutting down")
	require.False(t, s.ended(), "it waits for the request")
	s.signal(syscall.SIGTERM)
	require.Equal(t, 1, s.wait())
	s.logLine("stopping at once")
	l.requireSound(startServer(t, dir))
}

func TestConnectionsWithoutAWholeRequestDoNotFailTheShutdown(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, "--shutdown-timeout", "3s", "--read-timeout", "5m")
	for _, start := range []string{"", "P", "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }() // the server is gone by then
		_, err = conn.Write([]byte(start))
		require.NoError(t, err)
	}
	s.publish(event("t", "1"))
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.wait())
	s.logLine("stopped")
	require.Len(t, startServer(t, dir).rows(), 1)
}

func TestASecondInstanceOnTheSameDirectorySaysWhoHasIt(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	second := run(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	require.Equal(t, 75, second.code)
	require.Contains(t, second.stderr.String(), fmt.Sprintf("in use by process %d on ", s.pid()))
	require.Contains(t, second.stderr.String(), dir)
	require.Equal(t, sekali.OutcomeStored, s.publish(event("t", "1"))[0].Outcome, "the first goes on")

	s.kill()
	startServer(t, dir)
}

func TestAPortInUseIsAClearError(t *testing.T) {
	s := startServer(t, t.TempDir())
	address := strings.TrimPrefix(s.url, "http://")
	p := run(t, nil, "serve", "--listen", address, "--data-dir", t.TempDir())
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stderr.String(), address)
	require.Contains(t, p.stderr.String(), "address already in use; choose another --listen address")
	require.Empty(t, p.stdout.String(), "no banner of a server that does not run")
}

func TestBeyondLoopbackItNeedsAllowAnonymous(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.invalid:0"} {
		p := run(t, nil, "serve", "--listen", address, "--data-dir", filepath.Join(t.TempDir(), "data"))
		require.Equal(t, 2, p.code, address)
		require.Contains(t, p.stderr.String(), "--allow-anonymous", address)
	}
	p := run(t, nil, "check-config", "--listen", "0.0.0.0:0", "--allow-anonymous")
	require.Equal(t, 0, p.code)
}

func TestAForeignDatabaseIsAStorageFailure(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sekali.db")
	require.NoError(t, os.WriteFile(file, []byte("somebody's notes"), 0o600))
	p := run(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	require.Equal(t, 74, p.code)
	require.Contains(t, p.stderr.String(), "is not a SQLite database")
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "somebody's notes", string(kept))
}

func TestIdleTopicsAreFreed(t *testing.T) {
	const topics, perRequest = 2000, 100
	s := startServer(t, t.TempDir(), "--topic-idle-timeout", "200ms")
	before := s.stats().Goroutines
	publish := func(want sekali.Outcome) {
		for first := 0; first < topics; first += perRequest {
			var events []sekali.Event
			for i := range perRequest {
				events = append(events, event(fmt.Sprint("topic-", first+i), "1"))
			}
			for _, r := range s.publish(events...) {
				require.Equal(t, want, r.Outcome)
			}
		}
	}
	publish(sekali.OutcomeStored)
	require.Eventually(t, func() bool {
		stats, err := s.Stats(t.Context())
		return err == nil && stats.ActiveTopics == 0 && stats.Goroutines <= before+20
	}, patience, 50*shortly)
	require.EqualValues(t, topics, s.stats().TopicsTotal)
	publish(sekali.OutcomeDuplicate) // forgotten by the memory, known to the store
	require.EqualValues(t, topics, s.stats().UniqueProcessed)
}
