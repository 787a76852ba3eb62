package ceiling

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// EchoCommand are the arguments by which the program at Echo's executable runs
// ServeEcho on its standard input and output.
var EchoCommand = []string{"loadtest", "echo-server"}

const (
	echoStartTimeout = 20 * time.Second
	echoStopTimeout  = 10 * time.Second
)

// ServeEcho answers POST requests on a free port of the loopback with their own
// body, by the HTTP library that the server uses and nothing else. It writes
// its URL as one line to out and ends when life, which the parent holds open,
// does, or with ctx.
func ServeEcho(ctx context.Context, life io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the echo: %w", err)
	}
	server := &fasthttp.Server{Handler: echo, CloseOnShutdown: true, NoDefaultServerHeader: true, Logger: silent{}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return errors.Join(fmt.Errorf("say where the echo is: %w", err), listener.Close(), <-served)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, life) // However it ends, nobody needs the echo any more.
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve the echo: %w", err)
	case <-ended:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), echoStopTimeout/2)
	defer cancel()
	err = server.ShutdownWithContext(stopping)
	// A shutdown that comes before Serve has begun does nothing. In the other
	// case both report that the listener is closed already.
	_, _ = listener.Close(), <-served
	return err
}

func echo(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		ctx.Error("POST what is to be echoed", fasthttp.StatusMethodNotAllowed)
		return
	}
	ctx.SetContentType("application/json")
	ctx.Response.AppendBody(ctx.PostBody())
}

// silent drops the library's lines about connections that broke.
type silent struct{}

// Printf implements fasthttp.Logger.
func (silent) Printf(string, ...any) {}

// Echo is a child process that runs ServeEcho.
type Echo struct {
	URL string

	cmd    *exec.Cmd
	life   io.Closer // the child ends when it is closed
	exited chan error
}

// StartEcho starts executable with EchoCommand and returns when it serves. The
// caller must call Stop. The child ends with its parent, too, whatever ends
// that.
func StartEcho(ctx context.Context, executable string) (*Echo, error) {
	var failure strings.Builder
	e := &Echo{cmd: exec.Command(executable, EchoCommand...), exited: make(chan error, 1)}
	e.cmd.Stderr = &failure
	life, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make the echo's standard input: %w", err)
	}
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("make the echo's standard output: %w", err)
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the echo: %w", err)
	}
	e.life = life
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n') // What is missing shows in the text.
		line <- text
		e.exited <- e.cmd.Wait()
	}()
	patience, cancel := context.WithTimeout(ctx, echoStartTimeout)
	defer cancel()
	select {
	case text := <-line:
		url, complete := strings.CutSuffix(text, "\n")
		if !complete {
			return nil, errors.Join(fmt.Errorf("the echo said %q and no URL", text), e.Stop(), errors.New(failure.String()))
		}
		e.URL = url
		return e, nil
	case <-patience.Done():
		return nil, errors.Join(fmt.Errorf("start the echo: %w", context.Cause(patience)), e.Stop())
	}
}

// PID is the child's process id.
func (e *Echo) PID() int { return e.cmd.Process.Pid }

// Stop ends the child and waits until it is gone. It is called once.
func (e *Echo) Stop() error {
	_ = e.life.Close() // An error means that it is closed already.
	timer := time.NewTimer(echoStopTimeout)
	defer timer.Stop()
	select {
	case err := <-e.exited:
		return err
	case <-timer.C:
		_ = e.cmd.Process.Kill() // It can only fail when the process has just ended.
		return errors.Join(fmt.Errorf("the echo was still running after %s", echoStopTimeout), <-e.exited)
	}
}
