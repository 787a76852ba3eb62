package httpserver

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
)

// limitedListener bounds the open connections. fasthttp would do so too, but
// answers the ones beyond in plain text and without a request id.
type limitedListener struct {
	net.Listener
	limit   int64
	open    *atomic.Int64
	ids     requestIDs
	refused chan struct{} // has room for those being refused at a time
	secure  *secureServer // unless it is nil, makes TLS connections of them
}

// maxRefused bounds the connections beyond the limit that wait until their
// sender has read why.
const maxRefused = 128

func newLimitedListener(ln net.Listener, limit int, ids requestIDs) limitedListener {
	return limitedListener{Listener: ln, limit: int64(limit), open: new(atomic.Int64), ids: ids, refused: make(chan struct{}, maxRefused)}
}

// Accept returns the next connection within the limit; those beyond it are
// refused.
func (l limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			if l.secure != nil {
				conn = l.secure.wrap(conn)
			}
			return &countedConn{Conn: conn, open: l.open}, nil
		}
		l.open.Add(-1)
		l.refuse(conn)
	}
}

// refuse answers without having read the request. A fresh connection has room
// for the answer, so nobody can hold up the others here. Over TLS there is no
// answer, since a handshake is what there is no room for.
func (l limitedListener) refuse(conn net.Conn) {
	if l.secure != nil {
		_ = conn.Close() // as below
		return
	}
	id := l.ids.next()
	body := appendString(appendErrorHead(nil, sekali.CodeOverloaded), "the server has its limit of open connections; send the request again, with the same ids, after the time in Retry-After")
	body = appendErrorTail(body, id)
	// The sender gets the answer or a broken connection: both mean retry.
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(rawAnswer("503 Service Unavailable", id, body, "Retry-After: 1\r\n"))
	select {
	case l.refused <- struct{}{}:
		go func() {
			defer func() { <-l.refused }()
			linger(conn)
			_ = conn.Close()
		}()
	default:
		_ = conn.Close()
	}
}

// What linger takes at most.
const (
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// linger lets the other side read the last answer before the connection is
// closed: closing it with unread bytes of a request resets it, and the answer
// is lost on the way with everything else.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, lingerBytes)) // whatever it is
}

// countedConn is open until its first Close. It remembers that its sender has
// ended.
type countedConn struct {
	net.Conn
	once   sync.Once
	open   *atomic.Int64
	ended  atomic.Bool
	unread atomic.Bool // a request was answered before it was read to its end

	// Only the goroutine that reads uses these.
	bounded  bool
	left     int64 // bytes that may still be read while bounded
	timedOut bool  // the last read
}

// errTooMuchFraming ends a chunked body that is mostly something else.
var errTooMuchFraming = errors.New("the chunks have more framing than content")

// bound lets no more than this many bytes be read until unbound: fasthttp reads
// extensions of chunks for as long as they go on.
func (c *countedConn) bound(bytes int64) { c.bounded, c.left = true, bytes }

func (c *countedConn) unbound() { c.bounded = false }

// Read implements net.Conn.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ended.Store(true)
		netErr, ok := errors.AsType[net.Error](err)
		c.timedOut = ok && netErr.Timeout()
	}
	if c.bounded {
		if c.left -= int64(n); c.left < 0 {
			return n, errTooMuchFraming
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() {
		if c.unread.Load() && !c.ended.Load() {
			linger(c.Conn)
		}
		c.open.Add(-1)
	})
	return c.Conn.Close()
}

// closeUnread has the connection closed behind an answer that was given before
// the request was read to its end: what follows is the rest of that.
func closeUnread(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	if conn, ok := ctx.Conn().(*countedConn); ok {
		conn.unread.Store(true)
	}
}
