package httpserver

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// retryListener keeps the server alive when descriptors or memory run out:
// fasthttp's Serve returns at any error of Accept, so that whoever opens
// enough connections could stop the server.
type retryListener struct {
	net.Listener
	log *slog.Logger
}

// Accept waits, from 5 ms up to a second, and tries again while the error is
// one that passes.
func (l retryListener) Accept() (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := l.Listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		l.log.Warn("cannot accept a connection, trying again", "error", err, "wait", wait.String())
		time.Sleep(wait)
	}
}

func passes(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
