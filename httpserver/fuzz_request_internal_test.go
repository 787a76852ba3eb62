package httpserver

import (
	"bufio"
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"sekali"
)

// fuzzConn is a connection whose sender has sent everything and ended.
type fuzzConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *fuzzConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *fuzzConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *fuzzConn) Close() error                     { return nil }
func (c *fuzzConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *fuzzConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *fuzzConn) SetDeadline(time.Time) error      { return nil }
func (c *fuzzConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fuzzConn) SetWriteDeadline(time.Time) error { return nil }

// fuzzDomain takes every event and has none.
type fuzzDomain struct{ events int }

func (d *fuzzDomain) Ingest(_ context.Context, events []sekali.Event) ([]sekali.Result, error) {
	d.events += len(events)
	return make([]sekali.Result, len(events)), nil
}

func (d *fuzzDomain) Events(context.Context, sekali.EventsQuery) (sekali.EventsPage, error) {
	return sekali.EventsPage{}, nil
}

func (d *fuzzDomain) Event(context.Context, string, string) (sekali.EventDetail, error) {
	return sekali.EventDetail{}, nil
}

func (d *fuzzDomain) Topics(context.Context, sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	return nil, nil
}
func (d *fuzzDomain) Stats(context.Context) (sekali.Stats, error) { return sekali.Stats{}, nil }
func (d *fuzzDomain) Admits() error                               { return nil }
func (d *fuzzDomain) Ready() error                                { return nil }

// taken is a request as a reader of HTTP understood it.
type taken struct{ method, body string }

// FuzzRequest sends whole connections. Whatever the server takes for a request,
// the parser of net/http has to take for the same one: a request that only one
// of two readers sees is how something is smuggled in.
func FuzzRequest(f *testing.F) {
	domain := &fuzzDomain{}
	s := New(domain, Options{MaxBodyBytes: 64 << 10})
	var ours []taken
	answer := s.answer
	s.answer = func(ctx *fasthttp.RequestCtx) {
		ours = append(ours, taken{string(ctx.Method()), string(ctx.PostBody())})
		answer(ctx)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours = nil
		conn := &fuzzConn{in: bytes.NewReader(sent)}
		_ = s.http.ServeConn(&countedConn{Conn: conn, open: new(atomic.Int64)}) // it says why the connection ended
		require.Zero(t, s.bodies.inFlight.Load())
		requireAnswers(t, &conn.out, ours)
		requireTheSame(t, sent, ours)
	})
}

func requireTheSame(t *testing.T, sent []byte, ours []taken) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(sent))
	for _, our := range ours {
		skipBlankLines(in)
		request, err := http.ReadRequest(in)
		if _, ok := errors.AsType[*url.Error](err); ok {
			return // it reads targets more strictly, which changes no framing
		}
		require.NoError(t, err, "net/http takes no %q", our)
		body, err := io.ReadAll(request.Body)
		require.NoError(t, err, "net/http takes no body of %q", our)
		require.Equal(t, taken{request.Method, string(body)}, our)
	}
}

// skipBlankLines skips what may stand before a request (RFC 9112, 2.2).
func skipBlankLines(in *bufio.Reader) {
	for {
		next, _ := in.Peek(1) // its end is found by who reads on
		if len(next) == 0 || next[0] != '\r' && next[0] != '\n' {
			return
		}
		_, _ = in.Discard(1)
	}
}

// requireAnswers reads the answers: at most one more than requests were taken,
// none of them about a mistake of ours, errors in the shape of errors.
func requireAnswers(t *testing.T, out *bytes.Buffer, requests []taken) {
	t.Helper()
	in, answers := bufio.NewReader(out), 0
	for {
		if _, err := in.Peek(1); err != nil {
			break
		}
		request := &http.Request{Method: http.MethodGet}
		if answers < len(requests) {
			request.Method = requests[answers].method
		}
		response, err := http.ReadResponse(in, request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		if response.StatusCode == http.StatusContinue {
			continue
		}
		answers++
		require.NotEqual(t, http.StatusInternalServerError, response.StatusCode, "%s", body)
		if response.StatusCode >= http.StatusBadRequest && request.Method != http.MethodHead {
			require.True(t, json.Valid(body), "%s", body)
		}
	}
	require.LessOrEqual(t, answers, len(requests)+1)
}

// FuzzDecode decompresses whatever comes. Of gzip, the standard library is to
// say the same.
func FuzzDecode(f *testing.F) {
	b := &bodies{maxBody: 1 << 20, maxInFlight: 4 << 20}
	d := newDecoders(b)
	f.Fuzz(func(t *testing.T, zstd bool, sent []byte) {
		c := codingGzip
		if zstd {
			c = codingZstd
		}
		plain, err := d.decode(c, sent, time.Minute)
		if err != nil {
			require.Zero(t, b.inFlight.Load())
			require.Contains(t, []sekali.Code{codeMalformed, codeBodyTooLarge, codeUnsupportedEncoding}, sekali.CodeOf(err))
			return
		}
		require.LessOrEqual(t, len(plain.bytes), b.maxBody)
		if !zstd {
			r, err := stdgzip.NewReader(bytes.NewReader(sent))
			require.NoError(t, err)
			want, err := io.ReadAll(r)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, plain.bytes), "the standard library decompresses it to something else")
		}
		b.put(plain)
		require.Zero(t, b.inFlight.Load())
	})
}

func FuzzPrefer(f *testing.F) {
	f.Fuzz(func(t *testing.T, first, second string) {
		var h fasthttp.RequestHeader
		h.Add("Prefer", first)
		h.Add("Prefer", second)
		p := parsePrefer(&h)
		said := strings.ToLower(first + " " + second)
		require.True(t, !p.minimal || strings.Contains(said, "return") && strings.Contains(said, "minimal"))
		require.True(t, !p.lenient || strings.Contains(said, "handling") && strings.Contains(said, "lenient"))
		var again fasthttp.RequestHeader
		again.Add("Prefer", p.applied())
		require.Equal(t, p, parsePrefer(&again), "what was applied asks for the same")
	})
}

// FuzzPath names an event in a path, in two ways of escaping, and has to get the
// same names out of it.
func FuzzPath(f *testing.F) {
	f.Fuzz(func(t *testing.T, topic, id string) {
		if topic == "" || id == "" {
			return
		}
		var every strings.Builder
		for _, c := range []byte(topic) {
			every.WriteByte('%')
			every.WriteByte("0123456789abcdef"[c>>4])
			every.WriteByte("0123456789ABCDEF"[c&15])
		}
		for _, escaped := range []string{url.PathEscape(topic), every.String()} {
			var u fasthttp.URI
			require.NoError(t, u.Parse(nil, []byte("/topics/"+escaped+"/events/"+url.PathEscape(id))))
			segments, err := splitPath(string(u.PathOriginal()))
			require.NoError(t, err)
			args, ok := match("/topics/{topic}/events/{event_id}", segments)
			require.True(t, ok)
			require.Equal(t, []string{topic, id}, args)
		}
	})
}
