package httpserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/access"
)

// ask sends text and reads one answer.
func ask(t testing.TB, conn net.Conn, in *bufio.Reader, text string) (status int, body string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	response, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(content)
}

// TestNoBodyIsTakenForTheNextRequest sends bodies that hold a request: of any
// size, to any path, whole or in chunks. The connection stays usable and each
// request gets its own answer.
func TestNoBodyIsTakenForTheNextRequest(t *testing.T) {
	n := start(t, setup{})
	conn, err := n.dial()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	in := bufio.NewReader(conn)
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, size := range []int{0, 1, 100, 8 << 10, 8<<10 + 1, 20_000, 300_000} {
		body := strings.Repeat(smuggled, size/len(smuggled)+1)[:size]
		for _, path := range []string{"/stats", "/nothing/here", "/publish"} {
			for _, framing := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
				fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", oneChunk(body)),
			} {
				status, _ := ask(t, conn, in, "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+framing)
				require.Contains(t, []int{http.StatusMethodNotAllowed, http.StatusNotFound, http.StatusBadRequest}, status)
				status, answer := ask(t, conn, in, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
				require.Equal(t, http.StatusOK, status, "after %d bytes to %s", size, path)
				require.Contains(t, answer, "ready")
			}
		}
	}
	n.requireCounts(0, 0)
}

func oneChunk(s string) string {
	if s == "" {
		return ""
	}
	return chunk(s)
}

func TestABodyThatEndsEarlyIsNotTaken(t *testing.T) {
	n := start(t, setup{sockets: true})
	whole := encode(t, newEvent("a", "1"))
	for name, request := range map[string]string{
		"in a small body": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(whole)+10, whole),
		"in a large body": fmt.Sprintf("Content-Length: %d\r\n\r\n%s%s", len(whole)+20_000, whole, strings.Repeat(" ", 10_000)),
		"between chunks":  "Transfer-Encoding: chunked\r\n\r\n" + oneChunk(whole),
		"in a chunk":      "Transfer-Encoding: chunked\r\n\r\n" + oneChunk(whole) + "ff\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			n := n.on(t)
			conn, err := n.dial()
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close()) }()
			_, err = io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: x\r\n"+request)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.NotContains(t, string(answer), "200 OK")
			n.requireCounts(0, 0)
		})
	}
}

// TestBodiesThatDoNotArriveTakeNoMoreThanTheirLimit has slow senders use up
// the memory for bodies; small requests get through, and large ones again when
// the slow ones have gone.
func TestBodiesThatDoNotArriveTakeNoMoreThanTheirLimit(t *testing.T) {
	s := setup{sockets: true}
	s.http.MaxBodyBytes = 1 << 20
	s.http.MaxInFlightBodyBytes = 2 << 20
	n := start(t, s)
	var slow []net.Conn
	half := strings.Repeat(" ", 600<<10)
	for range 2 { // each has grown to 1 MiB
		conn, err := n.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 1<<20, half))
		require.NoError(t, err)
		slow = append(slow, conn)
	}
	const both = 2 * (1<<20 - 16<<10)
	require.Eventually(t, func() bool { return n.server.InFlightBodies() == both }, time.Minute, time.Millisecond)
	large := strings.Repeat(" ", 100<<10) + encode(t, newEvent("a", "large"))
	publish := func(body string) answer { return n.do("POST", "/publish", body, "Content-Type: application/json") }
	refused(t, publish(large), http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, http.StatusOK, publish(encode(t, newEvent("a", "small"))).status)
	for _, conn := range slow {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return n.server.InFlightBodies() == 0 }, time.Minute, time.Millisecond, "all is given back")
	require.Equal(t, http.StatusOK, publish(large).status)
}

// TestAPathIsNotTakenForAHost: fasthttp would serve /stats here, which a proxy in
// front does not see.
func TestAPathIsNotTakenForAHost(t *testing.T) {
	n := start(t, setup{})
	for target, want := range map[string]int{
		"//name/stats?a=://": http.StatusNotFound, "//name/stats": http.StatusNotFound,
		"/stats?a=://": http.StatusOK, "/stats#b?c": http.StatusOK, "http://localhost/stats?a=//b": http.StatusOK,
	} {
		conn, err := n.dial()
		require.NoError(t, err)
		status, _ := ask(t, conn, bufio.NewReader(conn), "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.Equal(t, want, status, target)
		require.NoError(t, conn.Close())
	}
}

// TestStrangersHaveNoShareOfTheMemoryForBodies has strangers send bodies where
// anybody may ask: those with a key publish all the same.
func TestStrangersHaveNoShareOfTheMemoryForBodies(t *testing.T) {
	l := withKeys(t, access.Options{})
	l.sockets = true
	l.http.MaxBodyBytes = 1 << 20
	l.http.MaxInFlightBodyBytes = 2 << 20
	key := l.key(t, "sender", access.Publish)
	n := start(t, l.setup)
	half := strings.Repeat(" ", 600<<10)
	var strangers []net.Conn
	for range 3 {
		conn, err := n.dial()
		require.NoError(t, err)
		defer func() { _ = conn.Close() }() // the server may have hung up
		_, err = io.WriteString(conn, fmt.Sprintf("GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 1<<20, half))
		require.NoError(t, err)
		strangers = append(strangers, conn)
	}
	for _, conn := range strangers {
		response, err := http.ReadResponse(bufio.NewReader(conn), nil) // though the body never comes
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	require.Zero(t, n.server.InFlightBodies())
	large := strings.Repeat(" ", 100<<10) + encode(t, newEvent("a", "large"))
	require.Equal(t, http.StatusOK, n.do("POST", "/publish", large, "Content-Type: application/json", key).status)
}

func TestABodyThatIsTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	s := setup{}
	s.http.MaxBodyBytes = 1000
	n := start(t, s)
	for length, begins := range map[int]string{1000: "HTTP/1.1 100 Continue", 1001: "HTTP/1.1 413 "} {
		conn, err := n.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length))
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, begins)
		require.NoError(t, conn.Close())
	}
}
