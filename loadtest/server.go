package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ServerOptions say how to start a server for a run.
type ServerOptions struct {
	Executable string // the sekali binary
	// DataDir is where it stores; "" is a temporary directory that Stop removes.
	DataDir string
	// StartTimeout is how long it may take until it serves, 1 minute by default.
	StartTimeout time.Duration
}

// Server is a child process that serves on a free port of the loopback.
type Server struct {
	URL     string
	DataDir string

	cmd     *exec.Cmd
	log     *serverLog
	tempDir string        // "" when the directory is the caller's
	exited  chan struct{} // closed after waitErr is set
	waitErr error
}

// stopTimeout is how long a server may take to end after SIGTERM.
const stopTimeout = 30 * time.Second

// StartServer starts a server with default settings and returns when it
// serves. The caller must call Stop. The process does not inherit SEKALI_
// variables, so that a run measures the same server everywhere.
func StartServer(ctx context.Context, o ServerOptions) (*Server, error) {
	s := &Server{log: newServerLog(), exited: make(chan struct{})}
	if o.DataDir == "" {
		dir, err := os.MkdirTemp("", "sekali-loadtest-")
		if err != nil {
			return nil, fmt.Errorf("make a data directory: %w", err)
		}
		s.tempDir, o.DataDir = dir, dir
	}
	s.DataDir = o.DataDir
	setDefault(&o.StartTimeout, time.Minute)
	s.cmd = exec.Command(o.Executable, "serve", "--listen", "127.0.0.1:0", "--data-dir", o.DataDir, "--log-format", "json")
	s.cmd.Env = environment()
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), s.removeData())
	}
	go func() {
		s.waitErr = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.awaitURL(ctx, o.StartTimeout); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SEKALI_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

func (s *Server) awaitURL(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s.URL = <-s.log.serving:
		return nil
	case <-s.exited:
		return fmt.Errorf("the server ended before it served: %w\n%s", s.exitError(), s.log.tail())
	case <-timer.C:
		return fmt.Errorf("the server did not serve within %s\n%s", patience, s.log.tail())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// exitError describes how the process ended; it has ended.
func (s *Server) exitError() error {
	if s.waitErr != nil {
		return s.waitErr
	}
	return errors.New("exit status 0")
}

// PID is the id of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (s *Server) Kill() error {
	err := s.cmd.Process.Kill()
	<-s.exited
	return err
}

// Stop ends the server with SIGTERM, waits, and removes a temporary data
// directory. An exit status other than 0 is an error. It may be called after
// the process has ended.
func (s *Server) Stop() error {
	running := true
	select {
	case <-s.exited:
		running = false
	default:
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // It can only fail when the process has just ended.
	}
	err := s.awaitExit()
	if running && err != nil {
		err = fmt.Errorf("stop the server: %w\n%s", err, s.log.tail())
	}
	return errors.Join(err, s.removeData())
}

func (s *Server) awaitExit() error {
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.exited:
		return s.waitErr
	case <-timer.C:
		return errors.Join(fmt.Errorf("it was still running %s after SIGTERM", stopTimeout), s.Kill())
	}
}

func (s *Server) removeData() error {
	if s.tempDir == "" {
		return nil
	}
	return os.RemoveAll(s.tempDir)
}

// serverLog reads the server's log as it is written. It keeps the end of it and
// passes on the URL of the line with the message "serving".
type serverLog struct {
	serving chan string // receives one URL at most

	mu    sync.Mutex
	rest  []byte // of a line that is not complete
	lines []string
	found bool
}

func newServerLog() *serverLog { return &serverLog{serving: make(chan string, 1)} }

const (
	keptLines    = 20
	maxLineBytes = 64 << 10
)

// Write takes a part of the log.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, complete := bytes.Cut(l.rest, []byte("\n"))
		if !complete && len(l.rest) < maxLineBytes {
			return len(p), nil
		}
		l.add(line)
		l.rest = bytes.Clone(rest)
	}
}

func (l *serverLog) add(line []byte) {
	l.lines = append(l.lines, string(line))
	l.lines = l.lines[max(0, len(l.lines)-keptLines):]
	var entry struct{ Msg, URL string }
	if !l.found && json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" && entry.URL != "" {
		l.found = true
		l.serving <- entry.URL
	}
}

// tail returns the last lines.
func (l *serverLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(l.lines, string(l.rest)), "\n")
}
