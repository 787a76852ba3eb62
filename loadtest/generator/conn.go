package generator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Target is the server that requests go to.
type Target struct {
	address string // host:port
	host    string // as in the Host header
	prefix  string // of every path
	apiKey  string
	tls     *tls.Config // nil for plain HTTP
}

// NewTarget names a server by its URL, such as "http://127.0.0.1:8080". An
// empty key sends none.
func NewTarget(base, apiKey string) (Target, error) {
	u, err := url.Parse(base)
	if err != nil {
		return Target{}, fmt.Errorf("server URL: %w", err)
	}
	t := Target{host: u.Host, prefix: strings.TrimRight(u.EscapedPath(), "/"), apiKey: apiKey}
	port := u.Port()
	switch {
	case u.Hostname() == "":
		return Target{}, fmt.Errorf("server URL %q: want http://host:port", base)
	case u.Scheme == "http":
		port = cmp.Or(port, "80")
	case u.Scheme == "https":
		port = cmp.Or(port, "443")
		t.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	default:
		return Target{}, fmt.Errorf("server URL %q: want http:// or https://", base)
	}
	t.address = net.JoinHostPort(u.Hostname(), port)
	return t, nil
}

// Trusting returns the target with other authorities for https than the
// system's, which nil stands for.
func (t Target) Trusting(roots *x509.CertPool) Target {
	if t.tls != nil && roots != nil {
		t.tls = t.tls.Clone()
		t.tls.RootCAs = roots
	}
	return t
}

// head returns the request line and the headers, with the empty line.
func (t Target) head(method, path string, bodyBytes int) []byte {
	b := fmt.Appendf(nil, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sekali-loadtest\r\n", method, t.prefix, path, t.host)
	if t.apiKey != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", t.apiKey)
	}
	if method == "POST" {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", bodyBytes)
	}
	return append(b, "\r\n"...)
}

func (t Target) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	if t.tls == nil {
		return d.DialContext(ctx, "tcp", t.address)
	}
	return (&tls.Dialer{NetDialer: &d, Config: t.tls}).DialContext(ctx, "tcp", t.address)
}

const (
	dialTimeout = 5 * time.Second
	// answerTimeout is how long an answer may take. The server gives up after
	// 10 s by default.
	answerTimeout  = 30 * time.Second
	maxAnswerBytes = 16 << 20
)

// Answer is what came back for a request. Its body is valid until the next
// request on the connection.
type Answer struct {
	Status     int
	RetryAfter bool // the header was there
	Body       []byte
}

// conn is a connection that sends one request at a time. It is not safe for
// concurrent use, except for close.
type conn struct {
	target   Target
	buf      []byte
	closing  bool      // the server closes it after its last answer
	deadline time.Time // of the net.Conn

	mu     sync.Mutex
	net    net.Conn // only do replaces it, under mu
	closed bool
}

func dial(ctx context.Context, t Target) (*conn, error) {
	c := &conn{target: t, buf: make([]byte, 16<<10)}
	var err error
	c.net, err = t.dial(ctx)
	return c, err
}

// close closes the connection; a request on it fails.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	_ = c.net.Close() // Whoever uses it sees an error of its own.
}

// reopen replaces a connection that the server has closed.
func (c *conn) reopen(ctx context.Context) error {
	fresh, err := c.target.dial(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.net.Close() // The server has closed it.
	c.net, c.closing, c.deadline = fresh, false, time.Time{}
	if c.closed {
		_ = fresh.Close() // As in close.
	}
	return nil
}

// do sends a request and reads its answer. now saves it a look at the clock.
func (c *conn) do(ctx context.Context, request []byte, now time.Time) (Answer, error) {
	if c.closing {
		if err := c.reopen(ctx); err != nil {
			return Answer{}, err
		}
	}
	// Setting a deadline costs as much as building a request: it is moved on
	// only now and then.
	if c.deadline.Sub(now) < answerTimeout/2 {
		c.deadline = now.Add(answerTimeout)
		if err := c.net.SetDeadline(c.deadline); err != nil {
			return Answer{}, err
		}
	}
	if _, err := c.net.Write(request); err != nil {
		return Answer{}, fmt.Errorf("send the request: %w", err)
	}
	return c.read()
}

// read reads one answer with a Content-Length.
func (c *conn) read() (Answer, error) {
	n, end := 0, -1
	for end < 0 {
		if n == len(c.buf) {
			return Answer{}, errors.New("the headers of the answer are too large")
		}
		more, err := c.net.Read(c.buf[n:])
		if err != nil {
			return Answer{}, fmt.Errorf("read the answer: %w", err)
		}
		from := max(0, n-3)
		n += more
		if end = bytes.Index(c.buf[from:n], []byte("\r\n\r\n")); end >= 0 {
			end += from
		}
	}
	h, err := parseHead(c.buf[:end+2])
	if err != nil {
		return Answer{}, err
	}
	c.closing = h.closing
	begin := end + 4
	if err := c.readBody(begin, n, h.length); err != nil {
		return Answer{}, fmt.Errorf("read the body of the answer: %w", err)
	}
	return Answer{Status: h.status, RetryAfter: h.retryAfter, Body: c.buf[begin : begin+h.length]}, nil
}

// readBody makes the buffer hold length bytes from begin, of which those before
// n are there.
func (c *conn) readBody(begin, n, length int) error {
	total := begin + length
	if n > total {
		return errors.New("it is longer than its Content-Length")
	}
	if total > len(c.buf) {
		c.buf = append(c.buf[:n], make([]byte, total+total/4-n)...)
	}
	for n < total {
		more, err := c.net.Read(c.buf[n:total])
		if err != nil {
			return err
		}
		n += more
	}
	return nil
}

// responseHead is what matters of an answer's headers.
type responseHead struct {
	status, length      int
	retryAfter, closing bool
}

// parseHead reads the status line and the headers, each ended by CRLF.
func parseHead(b []byte) (h responseHead, err error) {
	if len(b) < 14 || !bytes.HasPrefix(b, []byte("HTTP/1.")) {
		return h, fmt.Errorf("this is not an HTTP answer: %.40q", b)
	}
	h.closing, h.length = b[7] == '0', -1
	if h.status, err = strconv.Atoi(string(b[9:12])); err != nil {
		return h, fmt.Errorf("the status line is wrong: %.40q", b)
	}
	_, b, _ = bytes.Cut(b, []byte("\r\n"))
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := h.set(name, bytes.TrimSpace(value)); err != nil {
			return h, err
		}
	}
	if h.length < 0 {
		return h, errors.New("the answer has no Content-Length")
	}
	return h, nil
}

func (h *responseHead) set(name, value []byte) error {
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 || n > maxAnswerBytes || h.length >= 0 {
			return fmt.Errorf("the answer's Content-Length %q is wrong, given twice, or above 16 MiB", value)
		}
		h.length = n
	case bytes.EqualFold(name, []byte("Retry-After")):
		h.retryAfter = true
	case bytes.EqualFold(name, []byte("Connection")):
		h.closing = bytes.EqualFold(value, []byte("close"))
	}
	return nil
}
