package apptest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what should take a moment.
const patience = time.Minute

// process is one run of the binary.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr output
	exited         chan struct{} // closed when it has ended and code is set
	code           int           // -1 when a signal ended it
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns everything so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts the binary with the given variables, NAME=value, and none of
// the test's own that it would read. It is killed at the end of the test.
func launch(t testing.TB, variables []string, args ...string) *process {
	t.Helper()
	return launchCommand(t, exec.Command(binary, args...), variables...)
}

func launchCommand(t testing.TB, cmd *exec.Cmd, variables ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan struct{})}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SEKALI_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, variables...)
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // the code tells how it ended
		p.code = cmd.ProcessState.ExitCode()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("stdout of process %d:\n%s\nstderr:\n%s", cmd.Process.Pid, &p.stdout, &p.stderr)
		}
	})
	return p
}

// run runs a command to its end.
func run(t testing.TB, variables []string, args ...string) *process {
	t.Helper()
	p := launch(t, variables, args...)
	p.wait()
	return p
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.FailNow(p.t, "the process does not end")
	}
	return p.code
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// logLine waits for a line of the JSON log with this message.
func (p *process) logLine(msg string) map[string]any {
	p.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ended := p.ended()
		if line := findLine(p.stderr.String(), msg); line != nil {
			return line
		}
		require.False(p.t, ended, "the process ended without the log line %q", msg)
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(p.t, "no log line "+msg)
		}
	}
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func findLine(log, msg string) map[string]any {
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == msg {
			return line
		}
	}
	return nil
}
