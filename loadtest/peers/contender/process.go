package contender

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"sekali/loadtest/peers/measure"
)

// child is a server that runs beside us.
type child struct {
	cmd     *exec.Cmd
	log     logTail
	exited  chan struct{} // closed after waitErr is set
	waitErr error
}

const (
	readyTimeout = 2 * time.Minute
	stopTimeout  = 2 * time.Minute
	pollPeriod   = 5 * time.Millisecond
)

// startChild starts a program with a clean environment, as another user when
// one is given, and in a process group of its own, so that an interrupt at the
// terminal does not end it before us. It dies when this process dies.
func startChild(owner *syscall.Credential, dir, program string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	c.cmd.Dir = dir
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		c.waitErr = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// awaitReady asks until the probe succeeds.
func (c *child) awaitReady(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended before it served: %w\n%s", c.cmd.Path, c.waitErr, c.log.String())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w\n%s", c.cmd.Path, errors.Join(context.Cause(ctx), err), c.log.String())
		case <-ticker.C:
		}
	}
}

// stop ends it with a signal. It may be called again, and on nil.
func (c *child) stop(signal syscall.Signal) error {
	if c == nil || c.hasExited() {
		return nil
	}
	_ = c.cmd.Process.Signal(signal) // It fails only when the process has just ended.
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-c.exited:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s was still running %s after %s\n%s", c.cmd.Path, stopTimeout, signal, c.log.String()), c.crash())
	}
}

func (c *child) hasExited() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// crash kills it and all that it has started, and waits until they are gone.
func (c *child) crash() error {
	if c.hasExited() {
		return fmt.Errorf("%s has ended by itself: %w\n%s", c.cmd.Path, c.waitErr, c.log.String())
	}
	tree, err := measure.Tree(c.pid())
	if err != nil {
		return err
	}
	for _, pid := range tree {
		_ = syscall.Kill(pid, syscall.SIGKILL) // It may have ended with the one before it.
	}
	<-c.exited
	return awaitGone(tree)
}

func awaitGone(pids []int) error {
	deadline := time.Now().Add(stopTimeout)
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for _, pid := range pids {
		for measure.Alive(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d is still there after SIGKILL", pid)
			}
			<-ticker.C
		}
	}
	return nil
}

// logTail keeps the end of what a program writes.
type logTail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 8 << 10

// Write takes a part of the log.
func (l *logTail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*tailBytes {
		l.text = append(l.text[:0], l.text[len(l.text)-tailBytes:]...)
	}
	return len(p), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// freeAddress returns an address of the loopback that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// firstLine runs a program to its end and returns the first line of its output.
func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}
