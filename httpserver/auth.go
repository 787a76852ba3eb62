package httpserver

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// locked reports whether requests need a key.
func (s *Server) locked() bool { return s.Keys != nil && s.Keys.Required() }

// grantKey is where a request keeps what its key may do.
const grantKey = "grant"

// grantOf returns what the request's key may do: nil for a sender without one,
// where none is needed or asked for.
func grantOf(ctx *fasthttp.RequestCtx) *access.Grant {
	grant, _ := ctx.UserValue(grantKey).(*access.Grant)
	return grant
}

// pass is the admission of one request; end gives it back. The zero pass is
// that of a sender without a key.
type pass struct {
	grant *access.Grant
	bytes int64
}

func (p *pass) end() {
	if p.grant != nil {
		p.grant.End(p.bytes)
	}
}

// arrived refuses a body that took so long that the key has ended meanwhile, and
// charges for one whose length was not announced.
func (p *pass) arrived(b *body) error {
	if p.grant == nil || b == nil {
		return nil
	}
	if err := p.grant.Ended(); err != nil {
		return err
	}
	if p.bytes > 0 {
		return nil
	}
	if err := p.grant.Begin(int64(len(b.bytes)), 0); err != nil {
		return err
	}
	p.bytes = int64(len(b.bytes))
	return nil
}

// authorize decides by the headers alone, before anything of the body is read,
// whether a request may go on. Until there are keys everybody may. Then whoever
// has no key learns nothing, not even which paths there are.
//
// Topics are not looked at here: those of events are in the body.
func (s *Server) authorize(ctx *fasthttp.RequestCtx) (pass, error) {
	needs := anyKey
	if !s.locked() {
		return pass{}, nil
	}
	if r, _, err := s.find(ctx); err == nil {
		needs = r.needs
	}
	grant, err := s.authenticate(ctx)
	switch {
	case needs == nothing:
		if err == nil {
			ctx.SetUserValue(grantKey, grant)
		}
		return pass{}, nil
	case err != nil:
		return pass{}, err
	case needs != anyKey && !grant.Key().May(needs):
		return pass{}, problem(sekali.CodeForbidden, "the key "+grant.Key().Name+" does not have the scope "+string(needs)+"; use one that has it")
	}
	cost := 1
	if needs == access.Publish {
		cost = 0 // its events are counted when they have been read
	}
	admitted := pass{grant, max(0, int64(ctx.Request.Header.ContentLength()))}
	if err := grant.Begin(admitted.bytes, cost); err != nil {
		return pass{}, err
	}
	ctx.SetUserValue(grantKey, grant)
	return admitted, nil
}

var errNoKey = problem(sekali.CodeUnauthorized, "this server needs a key; send -H 'Authorization: Bearer <key>'")

// authenticate looks at the one Authorization header.
func (s *Server) authenticate(ctx *fasthttp.RequestCtx) (*access.Grant, error) {
	given := ctx.Request.Header.PeekAll("Authorization")
	switch {
	case len(given) == 0:
		return nil, errNoKey
	case len(given) > 1:
		return nil, problem(sekali.CodeUnauthorized, "there is more than one Authorization header; send one")
	}
	scheme, token, _ := bytes.Cut(given[0], []byte(" "))
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		return nil, problem(sekali.CodeUnauthorized, "the Authorization header is of another scheme; send -H 'Authorization: Bearer <key>'")
	}
	return s.Keys.Authenticate(bytes.TrimLeft(token, " "))
}

// headerReceived has fasthttp wait for one byte of a body instead of its first
// 8 KiB where it may be refused unread.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	c := s.bodies.headerReceived(h)
	if s.locked() {
		c.MaxRequestBodySize = 1
	}
	return c
}

const (
	// maxDeniedBody is how much of a body is read, to be thrown away, from a
	// sender who was refused: when that is all, the connection can stay, and the
	// sender reads the answer instead of an error of writing.
	maxDeniedBody = 1 << 20
	// deniedBodyTime is how long that may take.
	deniedBodyTime = 2 * time.Second
)

// deny answers a request that may not go on. Its body costs no memory: what is
// small is thrown away as it comes, from what is large the server hangs up.
func (s *Server) deny(ctx *fasthttp.RequestCtx, err error) {
	if !s.throwBodyAway(ctx) {
		closeUnread(ctx)
	}
	s.writeError(ctx, err)
	s.denied.note(s.log, ctx, err)
}

// throwBodyAway reports whether nothing of the body is left unread.
func (s *Server) throwBodyAway(ctx *fasthttp.RequestCtx) bool {
	stream, length := ctx.RequestBodyStream(), ctx.Request.Header.ContentLength()
	if stream == nil || length == 0 {
		return true
	}
	if length > maxDeniedBody || ctx.Conn().SetReadDeadline(time.Now().Add(min(s.ReadTimeout, deniedBodyTime))) != nil {
		return false
	}
	n, err := io.Copy(io.Discard, io.LimitReader(stream, maxDeniedBody+1))
	if length < 0 { // chunked; fasthttp takes the end of the connection for the last chunk
		conn, ok := ctx.Conn().(*countedConn)
		return err == nil && n <= maxDeniedBody && ok && !conn.ended.Load()
	}
	return err == nil && n == int64(length)
}

// deniedLogEvery is how often the log says that senders were turned away.
const deniedLogEvery = 10 * time.Second

// deniedLog tells an operator that somebody comes without a valid key, without
// a line for each time.
type deniedLog struct {
	count atomic.Int64 // since the last line
	last  atomic.Int64 // when that was, in Unix nanoseconds
}

func (d *deniedLog) note(log *slog.Logger, ctx *fasthttp.RequestCtx, err error) {
	code := sekali.CodeOf(err)
	if code != sekali.CodeUnauthorized && code != sekali.CodeForbidden {
		return
	}
	d.count.Add(1)
	last, now := d.last.Load(), time.Now().UnixNano()
	if now-last < int64(deniedLogEvery) || !d.last.CompareAndSwap(last, now) {
		return
	}
	log.LogAttrs(context.Background(), slog.LevelWarn, "requests were turned away", slog.Int64("count", d.count.Swap(0)),
		slog.String("last_code", string(code)), slog.String("last_from", ctx.RemoteAddr().String()), slog.String("last_request_id", requestID(ctx)))
}
