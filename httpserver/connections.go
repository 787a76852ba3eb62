package httpserver

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sekali"
)

// limitedListener bounds the open connections. fasthttp would do so too, but
// answers the ones beyond in plain text and without a request id.
type limitedListener struct {
	net.Listener
	limit int64
	open  *atomic.Int64
	ids   requestIDs
	// secure, unless it is nil, makes TLS connections of them.
	secure *secureServer
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
	_ = conn.Close()
}

// countedConn is open until its first Close. It remembers that its sender has
// ended.
type countedConn struct {
	net.Conn
	once  sync.Once
	open  *atomic.Int64
	ended atomic.Bool
}

// Read implements net.Conn.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ended.Store(true)
	}
	return n, err
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
