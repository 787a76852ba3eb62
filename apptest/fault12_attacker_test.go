package apptest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// victim is a server with a key and an event, and what its attacker has.
type victim struct {
	*server
	dir  string
	key  madeKey
	seed uint64
}

func newVictim(t *testing.T, seed uint64, args ...string) *victim {
	t.Helper()
	v := &victim{dir: t.TempDir(), seed: seed}
	v.key = createKey(t, v.dir, "owner", "publish,read,admin")
	v.server = startServer(t, v.dir, append([]string{"--log-level", "debug"}, args...)...)
	v.Client = v.as(v.key)
	v.publish(event("private", "secret-event"))
	return v
}

// reply is an answer to an attacker.
type reply struct {
	status int
	header http.Header
	body   string
}

// anonymous sends a request; header is "Name: value" lines.
func (v *victim) anonymous(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, v.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return reply{response.StatusCode, response.Header, string(text)}
}

// raw sends bytes over a connection of its own and returns what comes back
// until the server closes it or has nothing to say for a while.
func (v *victim) raw(t *testing.T, request string, patience time.Duration) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(v.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }() // the server may have closed it
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, _ = io.WriteString(conn, request) // it may be cut off in the middle
	text, _ := io.ReadAll(conn)          // as above
	return string(text)
}

// requireRefused checks that a request got no further than the door.
func requireRefused(t *testing.T, r reply, what string) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, r.status, "%s: %s", what, r.body)
	require.Contains(t, r.body, `"code":"unauthorized"`, what)
	require.NotContains(t, r.body, "secret-event", what)
}

var strangersEvent = `{"topic":"private","event_id":"intruder","timestamp":"2025-10-24T10:30:00Z","source":"x","payload":{}}`

// closedPaths need a key.
var closedPaths = []string{
	"GET /events", "GET /events?limit=1", "GET /topics", "GET /topics/private/events/secret-event", "GET /stats", "GET /version",
	"GET /admin/keys", "POST /admin/keys", "DELETE /admin/keys/owner", "POST /admin/keys/owner/rotate", "POST /publish", "POST /publish/batch",
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/1\.1 \d{3} `)

// attempts are what somebody without a key tries on a server that is reached
// from everywhere. docs/security.md lists their names.
var attempts = []struct {
	name string
	try  func(t *testing.T, v *victim)
}{
	{"publish an event", func(t *testing.T, v *victim) {
		for _, path := range []string{"/publish", "/publish/batch", "/publish?key=" + v.key.ID, "//publish", "/publish/", "/PUBLISH", "/%70ublish"} {
			for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded"} {
				r := v.anonymous(t, "POST", path, strangersEvent, "Content-Type: "+contentType)
				requireRefused(t, r, path)
			}
		}
	}},
	{"read events, topics or counts", func(t *testing.T, v *victim) {
		for _, path := range []string{"/events", "/events?topic=private", "/topics", "/topics/private/events/secret-event", "/stats", "/version"} {
			requireRefused(t, v.anonymous(t, "GET", path, ""), path)
			require.Equal(t, http.StatusUnauthorized, v.anonymous(t, "HEAD", path, "").status)
		}
	}},
	{"make, list, change or revoke keys", func(t *testing.T, v *victim) {
		for _, request := range []string{"GET /admin/keys", "POST /admin/keys", "DELETE /admin/keys/owner", "POST /admin/keys/owner/rotate"} {
			method, path, _ := strings.Cut(request, " ")
			requireRefused(t, v.anonymous(t, method, path, `{"name":"mine","scopes":["admin"]}`, "Content-Type: application/json"), request)
		}
	}},
	{"find out which paths, topics or events there are", func(t *testing.T, v *victim) {
		known := v.anonymous(t, "GET", "/topics/private/events/secret-event", "")
		for _, path := range []string{"/topics/private/events/none", "/topics/none/events/none", "/no/such/path", "/admin", "/metrics", "/debug/pprof/"} {
			requireSameAnswer(t, known, v.anonymous(t, "GET", path, ""), path)
		}
	}},
	{"find out the version", func(t *testing.T, v *victim) {
		for _, path := range []string{"/", "/health", "/readyz", "/nothing", "/version"} {
			r := v.anonymous(t, "GET", path, "")
			require.Empty(t, r.header.Get("Server"))
			require.NotContains(t, r.body, `"version"`, path)
			require.NotContains(t, r.body, `"go"`, path)
		}
	}},
	{"get in with something that is nearly a key", func(t *testing.T, v *victim) {
		k := v.key.Key
		random := rand.New(rand.NewPCG(v.seed, 0))
		tokens := []string{"", " ", "x", k[:len(k)-1], k + "x", strings.ToUpper(k), strings.ToLower(k) + "=", v.key.ID, v.key.Name, "null", "undefined", strings.Repeat("k", 4000)}
		for range 200 {
			near := []byte(k)
			near[random.IntN(len(near))] ^= byte(1 + random.IntN(7))
			if harmless(near) && string(near) != k {
				tokens = append(tokens, string(near))
			}
		}
		for _, token := range tokens {
			requireRefused(t, v.anonymous(t, "GET", "/stats", "", "Authorization: Bearer "+token), token)
		}
		for _, header := range []string{"Authorization: " + k, "Authorization: Basic " + k, "Authorization: Token " + k, "X-Api-Key: " + k, "Cookie: key=" + k, "Proxy-Authorization: Bearer " + k} {
			requireRefused(t, v.anonymous(t, "GET", "/stats", "", header), header)
		}
		requireRefused(t, v.anonymous(t, "GET", "/stats?access_token="+k, ""), "a key in the address")
		requireRefused(t, v.anonymous(t, "GET", "/stats", "", "Authorization: Bearer "+k, "Authorization: Bearer x"), "two of them")
	}},
	{"get in with a key that was revoked or has ended", func(t *testing.T, v *victim) {
		revoked := createKey(t, v.dir, "gone", "publish,read")
		becomes(t, v.as(revoked), http.StatusOK)
		require.Zero(t, run(t, nil, "keys", "revoke", "gone", "--data-dir", v.dir).code)
		becomes(t, v.as(revoked), http.StatusUnauthorized)
		ended := createKey(t, v.dir, "short", "publish,read", "--expires-in", "1ms")
		requireRefused(t, v.anonymous(t, "GET", "/stats", "", "Authorization: Bearer "+ended.Key), "a key that has ended")
	}},
	{"tell a wrong key from an unknown one", func(t *testing.T, v *victim) {
		unknown := v.anonymous(t, "GET", "/stats", "", "Authorization: Bearer "+strings.Repeat("A", len(v.key.Key)))
		near := v.key.Key[:len(v.key.Key)-1] + "A"
		if near == v.key.Key {
			near = near[:len(near)-1] + "B"
		}
		requireSameAnswer(t, unknown, v.anonymous(t, "GET", "/stats", "", "Authorization: Bearer "+near), "all but the last letter")
	}},
	{"be taken for somebody of this machine", func(t *testing.T, v *victim) {
		for _, header := range []string{"Host: localhost", "X-Forwarded-For: 127.0.0.1", "X-Real-Ip: ::1", "Forwarded: for=127.0.0.1", "X-Forwarded-Host: localhost", "X-Original-Url: /health", "X-Http-Method-Override: GET"} {
			requireRefused(t, v.anonymous(t, "GET", "/stats", "", header), header)
		}
	}},
	{"use the connection of somebody who has a key", func(t *testing.T, v *victim) {
		got := v.raw(t, "GET /stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+v.key.Key+"\r\n\r\n"+
			"GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", time.Minute)
		require.Equal(t, 1, strings.Count(got, "HTTP/1.1 200"), got)
		require.Equal(t, 1, strings.Count(got, "HTTP/1.1 401"), got)
		require.NotContains(t, got, "secret-event")
	}},
	{"smuggle a request behind another", func(t *testing.T, v *victim) {
		inner := "GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + v.key.Key + "\r\n\r\n" // what a proxy would add
		for _, lengths := range []string{
			"Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: xchunked",
			"Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Content-Length: +5", "Transfer-Encoding : chunked",
		} {
			got := v.raw(t, "POST /publish HTTP/1.1\r\nHost: localhost\r\n"+lengths+"\r\n\r\n0\r\n\r\n"+inner, time.Minute)
			require.LessOrEqual(t, len(statusLine.FindAllString(got, -1)), 1, "%s: %s", lengths, got)
			require.NotContains(t, got, "secret-event", lengths)
		}
	}},
	{"read files of the server", func(t *testing.T, v *victim) {
		for _, path := range []string{
			"/docs/../../etc/passwd", "/docs/..%2f..%2fetc/passwd", "/docs/%2e%2e/%2e%2e/keys.json", "/../sekali.db", "/docs/....//sekali.db", "/docs/\\..\\sekali.db", "/docs//etc/passwd", "/docs/%00",
		} {
			got := v.raw(t, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", time.Minute)
			require.NotContains(t, got, "HTTP/1.1 200", path)
			require.NotContains(t, got, "SQLite format", path)
			require.NotContains(t, got, "root:", path)
		}
	}},
	{"put lines or headers of his own into the log or an answer", func(t *testing.T, v *victim) {
		for _, id := range []string{"a b", "a\x1b[2J", "<script>", `"},{"msg":"forged"`, strings.Repeat("i", 1000)} {
			got := v.raw(t, "GET /stats HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: "+id+"\r\nUser-Agent: "+id+"\r\nConnection: close\r\n\r\n", time.Minute)
			require.NotContains(t, got, id)
		}
		v.anonymous(t, "GET", "/%0a%7b%22msg%22%3a%22forged%22%7d%0d%0aX-Forged:%201", "")
		for line := range strings.Lines(v.stderr.String()) {
			var entry map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
			require.NotEqual(t, "forged", entry["msg"])
		}
		require.NotContains(t, v.stderr.String(), v.key.secret())
	}},
	{"fill the memory with bodies", func(t *testing.T, v *victim) {
		before := residentBytes(t, v.pid())
		body := strings.Repeat(" ", 4<<20)
		for range 50 {
			request := "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n"
			require.Contains(t, v.raw(t, request+body, time.Minute), "HTTP/1.1 401")
		}
		require.Less(t, residentBytes(t, v.pid())-before, float64(40<<20), "200 MiB were sent")
	}},
	{"keep a connection for ever by sending slowly", func(t *testing.T, v *victim) {
		begin := time.Now()
		for _, part := range []string{"", "GET /stats HT", "GET /stats HTTP/1.1\r\nHost: localhost\r\n", "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"} {
			v.raw(t, part, time.Minute)
			require.Less(t, time.Since(begin), time.Minute, "the server closes it: %q", part)
			begin = time.Now()
		}
	}},
	{"crash it with bytes that are no requests", func(t *testing.T, v *victim) {
		random := rand.New(rand.NewPCG(v.seed, 1))
		seeds := []string{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n[1]", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}
		for range prove.Count(t, "garbage", 100, 20_000) {
			text := []byte(seeds[random.IntN(len(seeds))])
			for range 1 + random.IntN(8) {
				text[random.IntN(len(text))] = byte(random.IntN(256))
			}
			v.raw(t, string(text), 20*time.Millisecond)
		}
		require.NotContains(t, v.stderr.String(), "panic")
	}},
	{"start a server on a public address that is open to all by mistake", func(t *testing.T, _ *victim) {
		p := run(t, nil, "serve", "--listen", "0.0.0.0:0", "--data-dir", t.TempDir())
		require.Equal(t, 2, p.code)
		require.Contains(t, p.stderr.String(), "--allow-anonymous")
	}},
}

// harmless reports whether a token can be sent as a header.
func harmless(token []byte) bool {
	return !slices.ContainsFunc(token, func(c byte) bool { return c <= ' ' || c >= 0x7f })
}

var requestIDField = regexp.MustCompile(`"request_id":"[^"]*"`)

// requireSameAnswer checks that two answers differ in nothing that tells
// something.
func requireSameAnswer(t *testing.T, a, b reply, what string) {
	t.Helper()
	require.Equal(t, a.status, b.status, what)
	require.Equal(t, requestIDField.ReplaceAllString(a.body, ""), requestIDField.ReplaceAllString(b.body, ""), what)
	for _, header := range []http.Header{a.header, b.header} {
		header.Del("X-Request-Id")
		header.Del("Date")
		header.Del("Content-Length") // ids have different lengths
	}
	require.Equal(t, a.header, b.header, what)
}

// TestFault12AttackerWithoutAKey tries each attempt and checks afterwards that
// it left no trace and that the server serves its owner.
func TestFault12AttackerWithoutAKey(t *testing.T) {
	v := newVictim(t, prove.Seed(t), "--read-timeout", "2s")
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			a.try(t, v)
			stats, err := v.Stats(t.Context())
			require.NoError(t, err, "the owner is served")
			require.EqualValues(t, 1, stats.Received, "nothing but the owner's event")
		})
	}
	prove.Report(t, prove.Result{Row: 12, Seed: v.seed, Figures: []prove.Figure{{Name: "attempts", Value: float64(len(attempts))}, {Name: "successes", Value: 0}}})
}

// TestFault12ControlAnOpenServerIsNotSafe: without a key several of the
// attempts succeed.
func TestFault12ControlAnOpenServerIsNotSafe(t *testing.T) {
	v := &victim{server: startServer(t, t.TempDir())}
	v.publish(event("private", "secret-event"))
	for _, request := range closedPaths {
		method, path, _ := strings.Cut(request, " ")
		r := v.anonymous(t, method, path, strangersEvent, "Content-Type: application/json")
		require.NotEqual(t, http.StatusUnauthorized, r.status, request)
	}
	require.Contains(t, v.anonymous(t, "GET", "/events", "").body, "secret-event")
	require.Contains(t, v.anonymous(t, "GET", "/events", "").body, "intruder")
}

// TestTheAttemptsAreThoseOfTheDocument holds docs/security.md to the tests.
func TestTheAttemptsAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "security.md"))
	require.NoError(t, err)
	_, rest, found := bytes.Cut(text, []byte("<!-- attempts:begin -->\n"))
	require.True(t, found)
	list, _, found := bytes.Cut(rest, []byte("<!-- attempts:end -->"))
	require.True(t, found)
	var documented, tested []string
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
		if item, ok := strings.CutPrefix(lines.Text(), "- "); ok {
			documented = append(documented, item)
		}
	}
	for _, a := range attempts {
		tested = append(tested, a.name)
	}
	require.Equal(t, tested, documented)
}
