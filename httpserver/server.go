package httpserver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// Ingester takes events. It owns them from the call on and returns their
// results, in order, after they are decided on stable storage. It does not use
// the context after it has returned.
//
// Admits returns the error to refuse a request with when none can be taken at
// the moment, whatever it brings.
type Ingester interface {
	Ingest(ctx context.Context, events []sekali.Event) ([]sekali.Result, error)
	Admits() error
}

// Reader reads back what is stored.
type Reader interface {
	Events(ctx context.Context, q sekali.EventsQuery) (sekali.EventsPage, error)
	Event(ctx context.Context, topic, id string) (sekali.EventDetail, error)
	Topics(ctx context.Context, q sekali.TopicsQuery) ([]sekali.TopicStats, error)
}

// Monitor tells how the node is doing. Ready returns the error to refuse with
// while it is not.
type Monitor interface {
	Stats(ctx context.Context) (sekali.Stats, error)
	Ready() error
}

// Domain is everything the server calls.
type Domain interface {
	Ingester
	Reader
	Monitor
}

// Keys knows the keys of the API. Requests need one from the moment Required
// reports true, and for ever. Authenticate returns an error with
// CodeUnauthorized for a token that is not accepted; it does not keep the token.
//
// The other methods are those of the admin API. Their changes are in force when
// they return.
type Keys interface {
	Required() bool
	Authenticate(token []byte) (*access.Grant, error)

	Keys() []access.Key
	Create(spec access.Spec) (access.Key, access.Token, error)
	Revoke(nameOrID string) ([]access.Key, error)
	Rotate(nameOrID string, overlap time.Duration) (access.Key, access.Token, error)
}

// Build describes the running binary.
type Build struct{ Version, Commit, Date, Go string }

// Options of a Server. Zero values mean the documented defaults.
type Options struct {
	MaxBodyBytes   int // request body, as sent and decompressed (default 8 MiB); beyond it 413
	MaxBatchEvents int // events in a request (default 10,000); beyond it 413
	// MaxInFlightBodyBytes bounds the bodies being received and parsed, beyond
	// 16 KiB of each (default 64 MiB); beyond it 503.
	MaxInFlightBodyBytes int64
	// MaxInFlightAnswerBytes bounds the answers being sent, to readers and once
	// more to publishers, beyond 64 KiB of each (default 128 MiB); beyond it 503.
	MaxInFlightAnswerBytes int64
	MaxConnections         int           // open connections (default 4,096)
	RequestTimeout         time.Duration // from the parsed request to its answer (default 10 s); beyond it 503
	ReadTimeout            time.Duration // for receiving one request (default 30 s); beyond it 408
	WriteTimeout           time.Duration // for sending an answer, or one page of a stream (default 30 s)
	IdleTimeout            time.Duration // between two requests of a connection (default 2 min)
	Durability             string        // shown in /stats and in answers unless it is "durable"
	Certificate            Certificate   // what to show over TLS; nil means plain HTTP
	// AllowedHosts are the names, beside addresses and names that public DNS
	// does not hold, that requests may be addressed to (see ValidHost); others
	// get 421. On a loopback address only localhost and loopback addresses need
	// no listing.
	AllowedHosts []string
	// CORSOrigins are the origins (see ValidOrigin) whose pages may use the
	// server; pages of others get 403.
	CORSOrigins []string
	// Keys decides who may do what; nil serves everybody who reaches the server.
	Keys   Keys
	Build  Build
	Logger *slog.Logger // default: discards
}

func (o Options) withDefaults() Options {
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, 8<<20)
	o.MaxInFlightBodyBytes = cmp.Or(o.MaxInFlightBodyBytes, 64<<20)
	o.MaxInFlightAnswerBytes = cmp.Or(o.MaxInFlightAnswerBytes, 128<<20)
	o.MaxBatchEvents = cmp.Or(o.MaxBatchEvents, 10_000)
	o.MaxConnections = cmp.Or(o.MaxConnections, 4096)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 30*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.Durability = cmp.Or(o.Durability, "durable")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// spareWorkers covers the moment between the end of a connection and that of
// its worker, so that limitedListener alone decides who is refused.
const spareWorkers = 1024

// Server serves the API for a Domain.
type Server struct {
	Options
	domain   Domain
	log      *slog.Logger
	http     *fasthttp.Server
	ids      requestIDs
	bodies   bodies
	waits    waits
	sending  sending // to readers
	results  sending // to publishers: readers that do not read are not to hold them up
	decoders decoders
	hosts    hostRule
	routes   []route
	denied   deniedLog
	plain    map[string][]*route     // those of routes that need no matching
	answer   fasthttp.RequestHandler // answers a request that is there as a whole

	mu       sync.Mutex
	listener net.Listener // what Serve accepts from
	stopped  bool
}

// New returns a server that is not listening yet.
func New(domain Domain, o Options) *Server {
	o = o.withDefaults()
	s := &Server{Options: o, domain: domain, log: o.Logger, ids: newRequestIDs(), routes: apiRoutes()}
	s.bodies.maxBody, s.bodies.maxInFlight, s.bodies.timeout = o.MaxBodyBytes, o.MaxInFlightBodyBytes, o.ReadTimeout
	s.sending.max, s.sending.refusal = o.MaxInFlightAnswerBytes, tooManyToReaders
	s.results.max, s.results.refusal = o.MaxInFlightAnswerBytes, tooManyToPublishers
	s.decoders = newDecoders(&s.bodies)
	s.hosts = newHostRule(o.AllowedHosts)
	s.plain = plainRoutes(s.routes)
	s.answer = s.answerWhole
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.handleProtocolError,
		Logger:                       fasthttpLogger{o.Logger},
		Concurrency:                  o.MaxConnections + spareWorkers,
		ReadBufferSize:               8 << 10, // bounds the request line and the headers together
		ReadTimeout:                  o.ReadTimeout,
		WriteTimeout:                 o.WriteTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxRequestBodySize:           o.MaxBodyBytes,
		StreamRequestBody:            true, // bodies.receive reads it, and keeps to the limit
		HeaderReceived:               s.headerReceived,
		ExpectHandler:                s.handleExpect,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		NoDefaultContentType:         true,
	}
	return s
}

// Serve answers on ln until Shutdown; then it returns nil. It is called once.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.listener = ln
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return ln.Close()
	}
	limited := newLimitedListener(retryListener{Listener: ln, log: s.log}, s.MaxConnections, s.ids)
	s.hosts.loopback = isLoopback(ln.Addr())
	if s.Certificate != nil {
		limited.secure = newSecureServer(s.Options, s.ids)
	}
	if err := s.http.Serve(limited); err != nil {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// Shutdown stops listening and waits until every request has its answer, or
// ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	ln := s.listener
	s.mu.Unlock()
	err := s.http.ShutdownWithContext(ctx)
	if ln != nil {
		// fasthttp has closed it, unless Serve had only just begun: then it
		// would go on accepting.
		_ = ln.Close()
	}
	if err != nil {
		return fmt.Errorf("shut the http server down: %w", err)
	}
	return nil
}

// handle answers one request. The contained panic matters because fasthttp
// does not recover: without it any bug would end the process.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer overwriteRequest(ctx) // behind all else
	start := time.Now()
	s.ids.assign(ctx)
	defer func() {
		s.answerPanic(ctx, recover())
		s.logRequest(ctx, start)
	}()
	s.setSecurityHeaders(ctx)
	if err := s.admit(ctx); err != nil {
		s.writeError(ctx, err)
		closeUnread(ctx)
		return
	}
	if s.isPreflight(ctx) {
		s.answerPreflight(ctx)
		return
	}
	pass, err := s.authorize(ctx)
	if err != nil {
		s.deny(ctx, err)
		return
	}
	defer pass.end()
	if s.locked() && pass.grant == nil {
		s.answerAnybody(ctx)
		return
	}
	received, err := s.bodies.receive(ctx)
	if err != nil {
		s.writeError(ctx, err)
		closeUnread(ctx)
		return
	}
	defer s.bodies.release(ctx, received)
	if err := pass.arrived(received); err != nil {
		s.writeError(ctx, err)
		return
	}
	s.answer(ctx)
}

// answerAnybody answers where no key is asked for although there are some. No such
// answer depends on a body, and the memory for bodies is for those with a key.
func (s *Server) answerAnybody(ctx *fasthttp.RequestCtx) {
	if !s.throwBodyAway(ctx) {
		closeUnread(ctx)
	}
	s.answer(ctx)
}

// answerPanic answers a request in whose handling somebody panicked: p is not nil.
func (s *Server) answerPanic(ctx *fasthttp.RequestCtx, p any) {
	if p == nil {
		return
	}
	s.log.Error("panic in a handler", "panic", p, "stack", string(debug.Stack()), "request_id", requestID(ctx))
	s.writeError(ctx, fmt.Errorf("panic: %v", p))
}

// logRequest builds its line only for a log that wants it: it is on the way of
// every request.
func (s *Server) logRequest(ctx *fasthttp.RequestCtx, start time.Time) {
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("request", "method", string(ctx.Method()), "path", string(ctx.Path()),
			"status", ctx.Response.StatusCode(), "duration", time.Since(start).String(), "request_id", requestID(ctx))
	}
}

// admit refuses what is no proper request to this server, whoever sends it.
func (s *Server) admit(ctx *fasthttp.RequestCtx) error {
	if err := checkProtocol(ctx); err != nil {
		return err
	}
	if err := s.checkHost(ctx); err != nil {
		return err
	}
	return s.checkOrigin(ctx)
}

func (s *Server) answerWhole(ctx *fasthttp.RequestCtx) {
	if err := s.dispatch(ctx); err != nil {
		s.writeError(ctx, err)
	}
}

// handleExpect answers "Expect: 100-continue": what is not well framed, too large,
// or would be refused whatever it says, is refused before it is sent.
func (s *Server) handleExpect(ctx *fasthttp.RequestCtx) (status int) {
	defer func() {
		if p := recover(); p != nil {
			s.ids.assign(ctx)
			s.setSecurityHeaders(ctx)
			s.answerPanic(ctx, p)
			closeUnread(ctx)
			status = ctx.Response.StatusCode()
		}
	}()
	err := s.admit(ctx)
	if err == nil {
		var pass pass
		pass, err = s.authorize(ctx)
		pass.end() // the handler begins anew
	}
	switch {
	case err != nil:
	case ctx.Request.Header.ContentLength() > s.MaxBodyBytes:
		err = s.bodies.tooLarge()
	case ctx.IsPost():
		err = s.domain.Admits()
	}
	if err == nil {
		return fasthttp.StatusContinue
	}
	s.ids.assign(ctx)
	s.setSecurityHeaders(ctx)
	s.writeError(ctx, err)
	s.denied.note(s.log, ctx, err)
	closeUnread(ctx)
	return ctx.Response.StatusCode()
}

// deadline returns the context of a request that reads. RequestCtx itself must not serve
// as one: it has no deadline and does not outlive the handler.
func (s *Server) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), s.RequestTimeout)
}

// fasthttpLogger takes fasthttp's own words, which are about connections that
// broke: of interest only when somebody looks for them.
type fasthttpLogger struct{ log *slog.Logger }

// Printf implements fasthttp.Logger.
func (l fasthttpLogger) Printf(format string, args ...any) {
	l.log.Debug("http connection", "message", strings.TrimSpace(fmt.Sprintf(format, args...)))
}
