package httpserver_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"sekali"
	"sekali/actors"
	"sekali/httpserver"
	"sekali/persistence/sqlite"
)

// setup says how a node differs from the one that users run.
type setup struct {
	http   httpserver.Options
	actors actors.Options
	// store and domain put something of the test in front of the real part.
	store  func(sekali.Store) sekali.Store
	domain func(httpserver.Domain) httpserver.Domain
	// wrap goes around the server's handler.
	wrap func(next fasthttp.RequestHandler) fasthttp.RequestHandler
	// sockets makes the node listen on the loopback instead of in memory.
	sockets bool
	// closed, when made, gets a value for each connection that the server
	// closes; it must have room.
	closed chan struct{}
}

// node is a whole server on a data directory of its own.
type node struct {
	t     testing.TB
	setup setup
	dir   string

	store  *sqlite.Store
	system *actors.System
	server *httpserver.Server
	served chan error
	dial   func() (net.Conn, error)
	http   *http.Client
}

// start runs a node until the end of the test.
func start(t testing.TB, s setup) *node {
	t.Helper()
	n := &node{t: t, setup: s, dir: t.TempDir()}
	n.http = &http.Client{Transport: &http.Transport{
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return n.dial() },
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
	}}
	n.open()
	t.Cleanup(n.stop)
	return n
}

// on returns the node for use in a subtest.
func (n *node) on(t testing.TB) *node {
	sub := *n
	sub.t = t
	return &sub
}

// open starts the parts in the order of cmd/sekali.
func (n *node) open() {
	n.t.Helper()
	var err error
	n.store, err = sqlite.Open(n.t.Context(), n.dir, sqlite.Options{})
	require.NoError(n.t, err)
	var store sekali.Store = n.store
	if n.setup.store != nil {
		store = n.setup.store(store)
	}
	n.system, err = actors.New(n.t.Context(), store, n.setup.actors)
	require.NoError(n.t, err)
	var domain httpserver.Domain = n.system
	if n.setup.domain != nil {
		domain = n.setup.domain(domain)
	}
	options := n.setup.http
	if options.AllowedHosts == nil {
		options.AllowedHosts = []string{"sekali.test", "x", "a"} // what the tests call it
	}
	options.Build = httpserver.Build{Version: "v1.2.3", Commit: "0123456789ab", Date: "2025-10-24T10:30:00Z", Go: "go1.26"}
	n.server = httpserver.New(domain, options)
	if n.setup.wrap != nil {
		n.server.WrapHandler(n.setup.wrap)
	}
	listener := n.listen()
	served := make(chan error, 1)
	n.served = served
	server := n.server
	go func() { served <- server.Serve(listener) }()
}

func (n *node) listen() net.Listener {
	n.t.Helper()
	if !n.setup.sockets {
		memory := fasthttputil.NewInmemoryListener()
		n.dial = memory.Dial
		return memory
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(n.t, err)
	n.dial = func() (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) }
	if n.setup.closed != nil {
		return watchedListener{listener, n.setup.closed}
	}
	return listener
}

// watchedListener and watchedConn tell about the end of a connection.
type watchedListener struct {
	net.Listener
	closed chan<- struct{}
}

func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn, closed: l.closed}, nil
}

type watchedConn struct {
	net.Conn
	once   sync.Once
	closed chan<- struct{}
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { c.closed <- struct{}{} })
	return c.Conn.Close()
}

// stop ends the parts in the order of cmd/sekali. A second call does nothing.
func (n *node) stop() {
	n.t.Helper()
	if n.server == nil {
		return
	}
	// The test's own context has ended when its cleanup runs.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n.http.CloseIdleConnections()
	require.NoError(n.t, n.system.Drain(ctx))
	require.NoError(n.t, n.server.Shutdown(ctx))
	require.NoError(n.t, <-n.served)
	require.NoError(n.t, n.system.Close(ctx))
	require.NoError(n.t, n.store.Close())
	n.server = nil
}

// restart closes the node and opens it again on the same data directory.
func (n *node) restart() {
	n.t.Helper()
	n.stop()
	n.open()
}

// signalHandler is a log that tells the test about one message.
type signalHandler struct {
	slog.Handler
	message string
	seen    chan slog.Record
}

// newSignal returns a logger and a channel that gets the records with that
// message; records that nobody fetches are dropped.
func newSignal(message string) (*slog.Logger, <-chan slog.Record) {
	h := signalHandler{Handler: slog.DiscardHandler, message: message, seen: make(chan slog.Record, 16)}
	return slog.New(h), h.seen
}

func (h signalHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h signalHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h signalHandler) WithGroup(string) slog.Handler            { return h }

func (h signalHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		select {
		case h.seen <- r:
		default:
		}
	}
	return nil
}
