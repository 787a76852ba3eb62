package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"
)

// Certificate is what the server shows over TLS. It may change while the server
// runs; its methods are called from any goroutine.
type Certificate interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	NotAfter() time.Time // of the one in use
}

// maxHandshakeTime bounds a handshake, which holds a connection's place.
const maxHandshakeTime = 10 * time.Second

// secureServer makes TLS connections of accepted ones.
type secureServer struct {
	config  *tls.Config
	timeout time.Duration // of a handshake
	ids     requestIDs
	log     *slog.Logger
}

func newSecureServer(o Options, ids requestIDs) *secureServer {
	return &secureServer{config: tlsConfig(o.Certificate), timeout: min(maxHandshakeTime, o.ReadTimeout), ids: ids, log: o.Logger}
}

// tlsConfig asks for TLS 1.2 or newer and, in 1.2, for forward secrecy with
// authenticated encryption. HTTP/1.1 is the only protocol spoken.
func tlsConfig(c Certificate) *tls.Config {
	return &tls.Config{
		GetCertificate: c.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// wrap returns a connection whose first Read makes the handshake: in the
// goroutine of the connection, so that a slow one does not hold up accepting.
func (s *secureServer) wrap(raw net.Conn) net.Conn {
	return &secureConn{Conn: tls.Server(raw, s.config), raw: raw, server: s}
}

// secureConn is a TLS connection that bounds its handshake and tells senders of
// plain HTTP what they did wrong.
type secureConn struct {
	*tls.Conn
	raw    net.Conn
	server *secureServer
	shaken bool // Read is not called concurrently
}

// Read implements net.Conn.
func (c *secureConn) Read(p []byte) (int, error) {
	if !c.shaken {
		c.shaken = true
		if err := c.handshake(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

func (c *secureConn) handshake() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.server.timeout)
	defer cancel()
	err := c.HandshakeContext(ctx)
	if err == nil || errors.Is(err, io.EOF) { // whoever only looks whether the port is open
		return err
	}
	c.server.log.Debug("no TLS handshake", "remote", c.raw.RemoteAddr().String(), "error", err)
	if notTLS, ok := errors.AsType[tls.RecordHeaderError](err); ok && notTLS.Conn != nil && isHTTP(notTLS.RecordHeader) {
		c.refusePlain()
	}
	return err
}

// isHTTP reports whether the first bytes of a connection begin a request.
func isHTTP(begin [5]byte) bool {
	return slices.Contains([]string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO", "CONNE", "TRACE"}, string(begin[:]))
}

// refusePlain answers a sender that took an HTTPS port for one of HTTP.
func (c *secureConn) refusePlain() {
	body := appendString(appendErrorHead(nil, codeMalformed), "this port speaks HTTPS; write https:// instead of http://")
	id := c.server.ids.next()
	body = appendErrorTail(body, id)
	_ = c.raw.SetWriteDeadline(time.Now().Add(time.Second)) // a fresh connection has room for the answer
	_, _ = c.raw.Write(rawAnswer("400 Bad Request", id, body, ""))
	linger(c.raw)
}

// rawAnswer returns an answer for a connection that fasthttp does not serve. more is
// further header lines.
func rawAnswer(status, id string, body []byte, more string) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\n%sConnection: close\r\n",
		status, len(body), requestIDHeader, id, more)
	for _, h := range securityHeaders {
		b = fmt.Appendf(b, "%s: %s\r\n", h[0], h[1])
	}
	return append(append(b, "\r\n"...), body...)
}
