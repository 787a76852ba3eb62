package container_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seedEvent is the first curl example of the seed systems.
const seedEvent = `{
  "topic": "user.created",
  "event_id": "evt-001",
  "timestamp": "2025-10-24T10:30:00Z",
  "source": "user-service",
  "payload": {"user_id": "123"}
}`

func TestTheImageServesWithoutRightsAndKeepsItsVolume(t *testing.T) {
	requireTools(t)
	e := newEngine(t)
	began := time.Now()
	buildImage(t, e)
	t.Logf("built in %s, size %s bytes", time.Since(began).Round(time.Millisecond), e.podman("image", "inspect", "--format", "{{.Size}}", image))

	requireSparseImage(t, e)

	first := start(t, e, "first")
	first.requireUnprivileged()
	first.requireHealthcheckCanFail()
	require.Equal(t, result{"stored", 1}, first.publish())
	events := first.events()
	require.Len(t, events, 1)
	require.Equal(t, "evt-001", events[0].EventID)
	require.JSONEq(t, `{"user_id": "123"}`, string(events[0].Payload))
	first.stop()

	second := start(t, e, "second")
	require.Equal(t, events, second.events(), "what was published before the restart")
	require.Equal(t, result{"duplicate", 1}, second.publish())
	require.Equal(t, events, second.events())
	second.stop()
}

func requireSparseImage(t *testing.T, e *engine) {
	t.Helper()
	require.ElementsMatch(t, []string{"/LICENSE", "/data", "/sekali"}, imageFiles(t, e), "no shell, no library, nothing else")

	config := inspectImage(t, e)
	require.Equal(t, "65532:65532", config.User)
	require.Equal(t, []string{"/sekali"}, config.Entrypoint)
	require.Equal(t, []string{"serve"}, config.Cmd)
	require.Equal(t, map[string]struct{}{"/data": {}}, config.Volumes)
	require.Equal(t, "SIGTERM", config.StopSignal)
	require.Equal(t, []string{"CMD", "/sekali", "healthcheck"}, config.Healthcheck.Test)
	require.Equal(t, 30*time.Second, config.Healthcheck.Interval)
}

// server is one run of the image. Every run has the same volume.
type server struct {
	t    *testing.T
	e    *engine
	name string
	url  string
}

// runFlags hold for every container here: this machine's network, because
// making another needs rights that a test may not have, and limits that runc
// may set without them.
var runFlags = []string{
	"--pull", "never", "--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
	"--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges",
	// podman's own timer needs systemd; the test runs the check itself.
	"--health-interval", "disable",
}

// start runs the image and waits until its own health check says healthy.
func start(t *testing.T, e *engine, name string) *server {
	t.Helper()
	address := freeAddress(t)
	began := time.Now()
	args := append([]string{"run", "--detach", "--name", name}, runFlags...)
	args = append(args, "--volume", "sekali-data:/data", "--env", "SEKALI_LISTEN="+address)
	args = append(args, "--log-driver", "k8s-file", "--log-opt", "path="+e.logFile(name))
	e.podman(append(args, image)...)
	s := &server{t: t, e: e, name: name, url: "http://" + address}
	t.Cleanup(s.logOnFailure)
	require.Eventually(t, func() bool { return e.try("healthcheck", "run", name) == nil }, time.Minute, 100*time.Millisecond,
		"the container did not become healthy")
	t.Logf("%s: healthy after %s", name, time.Since(began).Round(time.Millisecond))
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

func (s *server) logOnFailure() {
	if !s.t.Failed() {
		return
	}
	output, err := os.ReadFile(s.e.logFile(s.name))
	s.t.Logf("%s printed (%v):\n%s", s.name, err, output)
}

// requireUnprivileged looks at the process from outside.
func (s *server) requireUnprivileged() {
	s.t.Helper()
	pid := s.e.podman("inspect", "--format", "{{.State.Pid}}", s.name)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	require.NoError(s.t, err)
	require.Regexp(s.t, `(?m)^Uid:\s65532\s65532\s65532\s65532$`, string(status))
	require.Regexp(s.t, `(?m)^Gid:\s65532\s65532\s65532\s65532$`, string(status))
	require.Regexp(s.t, `(?m)^CapEff:\s0+$`, string(status))
	require.Regexp(s.t, `(?m)^NoNewPrivs:\s1$`, string(status))
}

// requireHealthcheckCanFail is the control of start: asked about a port that
// nobody listens on, the same command says no.
func (s *server) requireHealthcheckCanFail() {
	s.t.Helper()
	elsewhere := "SEKALI_LISTEN=" + freeAddress(s.t)
	require.Error(s.t, s.e.try("exec", "--env", elsewhere, s.name, "/sekali", "healthcheck"))
	require.NoError(s.t, s.e.try("exec", s.name, "/sekali", "healthcheck"))
	require.Contains(s.t, s.e.podman("exec", s.name, "/sekali", "version"), testVersion)
}

// stop asks the server to end, which it must do by itself and in order.
func (s *server) stop() {
	s.t.Helper()
	s.e.podman("stop", "--time", "30", s.name)
	require.Equal(s.t, "0", s.e.podman("inspect", "--format", "{{.State.ExitCode}}", s.name), "exit code after SIGTERM")
}

// result is what the server said of one event.
type result struct {
	Outcome string
	Seq     int64
}

// publish sends the seeds' event.
func (s *server) publish() result {
	s.t.Helper()
	var answer struct{ Results []result }
	s.call(http.MethodPost, "/publish", seedEvent, &answer)
	require.Len(s.t, answer.Results, 1)
	return answer.Results[0]
}

// event is an event as it is read back, as far as the test looks.
type event struct {
	EventID string `json:"event_id"`
	Payload json.RawMessage
}

func (s *server) events() []event {
	s.t.Helper()
	var events []event
	s.call(http.MethodGet, "/events", "", &events)
	return events
}

func (s *server) call(method, path, body string, answer any) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, response.StatusCode, "%s %s: %s", method, path, text)
	require.NoError(s.t, json.NewDecoder(bytes.NewReader(text)).Decode(answer))
}
