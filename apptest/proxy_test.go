package apptest_test

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy stands between senders and a server as a bad network does. Each
// connection gets one of the troubles, somewhere in the bytes of its requests
// or answers.
type proxy struct {
	url      string
	target   string
	listener net.Listener
	links    sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	had    map[string]int // connections by trouble
}

// troubles are what can happen to a connection, every one of which ends by it
// sooner or later. Each begins when the limit of bytes has passed in its
// direction.
var troubles = map[string]trouble{
	"cut in a request":     {request: (*link).hangUp},
	"reset in a request":   {request: (*link).reset},
	"half closed":          {request: (*link).halfClose},
	"answer lost":          {answer: (*link).hangUp, answerLimit: 1},
	"cut in an answer":     {answer: (*link).hangUp},
	"reset in an answer":   {answer: (*link).reset},
	"reset behind request": {answer: (*link).reset, answerLimit: 1},
	"delayed":              {request: (*link).hangUp, write: delayed},
	"split":                {request: (*link).hangUp, write: split},
	"merged":               {request: (*link).hangUp, merge: true},
}

// trouble says what happens to a connection.
type trouble struct {
	request, answer func(*link) // instead of the bytes behind the limit
	answerLimit     int         // 1: not even the first byte of an answer passes
	write           func(to io.Writer, chunk []byte) error
	merge           bool // requests are collected before they go on
}

// link is a connection through the proxy.
type link struct {
	client, server *net.TCPConn
}

// newProxy starts a proxy to the server at url. It ends with the test.
func newProxy(t testing.TB, url string, seed uint64) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{
		url: "http://" + listener.Addr().String(), target: strings.TrimPrefix(url, "http://"), listener: listener,
		random: rand.New(rand.NewPCG(seed, 13)), had: make(map[string]int),
	}
	p.links.Go(p.accept)
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		p.links.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close() // the server is gone, and so is the client's connection
			continue
		}
		l := &link{client: client.(*net.TCPConn), server: server.(*net.TCPConn)}
		what, limit := p.choose()
		p.links.Go(func() { l.carry(what, limit) })
	}
}

// choose draws the trouble of a connection and where it begins.
func (p *proxy) choose() (trouble, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := slices.Sorted(maps.Keys(troubles))
	name := names[p.random.IntN(len(names))]
	p.had[name]++
	return troubles[name], 1 + p.random.IntN(20_000)
}

// addTo adds how many connections had which trouble.
func (p *proxy) addTo(had map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, n := range p.had {
		had[name] += n
	}
}

// carry moves bytes in both directions until both have ended.
func (l *link) carry(what trouble, limit int) {
	defer l.hangUp()
	answerLimit := limit
	if what.answerLimit > 0 {
		answerLimit = what.answerLimit - 1
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		l.move(l.client, l.server, what, answerLimit, what.answer)
		_ = l.client.CloseWrite() // it may be closed already
	})
	l.move(l.server, l.client, what, limit, what.request)
	_ = l.server.CloseWrite() // as above
	answers.Wait()
}

// move copies until an end, an error, or the limit where trouble begins.
func (l *link) move(to, from *net.TCPConn, what trouble, limit int, begin func(*link)) {
	chunk := make([]byte, 32<<10)
	for passed := 0; ; {
		n, err := l.read(from, chunk, what.merge)
		if begin != nil && passed+n > limit {
			_, _ = to.Write(chunk[:limit-passed]) // the connection is broken anyway
			begin(l)
			return
		}
		passed += n
		if write(to, chunk[:n], what.write) != nil || err != nil {
			return
		}
	}
}

// read reads a chunk; merging, it collects what comes within some milliseconds.
func (l *link) read(from *net.TCPConn, chunk []byte, merge bool) (n int, err error) {
	n, err = from.Read(chunk)
	if !merge || err != nil {
		return n, err
	}
	_ = from.SetReadDeadline(time.Now().Add(3 * time.Millisecond)) // fails on a closed connection, as reading does
	more, err := io.ReadFull(from, chunk[n:])
	_ = from.SetReadDeadline(time.Time{})
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		err = nil
	}
	return n + more, err
}

func write(to io.Writer, chunk []byte, how func(io.Writer, []byte) error) error {
	if how != nil {
		return how(to, chunk)
	}
	_, err := to.Write(chunk)
	return err
}

func delayed(to io.Writer, chunk []byte) error {
	<-time.After(rand.N(10 * time.Millisecond))
	_, err := to.Write(chunk)
	return err
}

// split sends the chunk in pieces of some bytes, each a segment of its own.
func split(to io.Writer, chunk []byte) error {
	for len(chunk) > 0 {
		n := min(len(chunk), 1+rand.IntN(1+len(chunk)/8))
		if _, err := to.Write(chunk[:n]); err != nil {
			return err
		}
		chunk = chunk[n:]
	}
	return nil
}

func (l *link) hangUp() {
	_ = l.client.Close() // the other direction may have closed it, here and below
	_ = l.server.Close()
}

// reset closes both connections with RST, which drops what is on its way.
func (l *link) reset() {
	_ = l.client.SetLinger(0)
	_ = l.server.SetLinger(0)
	l.hangUp()
}

// halfClose ends the requests and still carries answers.
func (l *link) halfClose() { _ = l.server.CloseWrite() }
