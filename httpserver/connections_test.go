package httpserver_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestARefusalArrivesThoughTheRequestIsStillBeingSent has senders that read
// only when they have sent everything, long after the server has refused them.
func TestARefusalArrivesThoughTheRequestIsStillBeingSent(t *testing.T) {
	const much = 3 << 20
	tests := []struct {
		name, head string
		status     int
	}{
		{"a body that is too large", "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 3145728\r\n\r\n", http.StatusRequestEntityTooLarge},
		{"a body of two lengths", "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 3145728\r\nTransfer-Encoding: chunked\r\n\r\n", http.StatusBadRequest},
		{"chunks that are none", "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", http.StatusBadRequest},
		{"no HTTP", "hello\r\n\r\n", http.StatusBadRequest},
		{"a header that is too large", "GET /stats HTTP/1.1\r\nHost: ", http.StatusRequestHeaderFieldsTooLarge},
		{"an expectation that is not met", "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3145728\r\n\r\n", http.StatusRequestEntityTooLarge},
	}
	s := setup{sockets: true}
	s.http.MaxBodyBytes = 1 << 20
	n := start(t, s)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := n.dial()
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close()) }()
			_, err = io.WriteString(conn, tt.head)
			require.NoError(t, err)
			_, err = io.WriteString(conn, strings.Repeat("x", much))
			require.NoError(t, err, "the server takes it, though it does not want it")
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			_, err = io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, tt.status, response.StatusCode)
			require.True(t, response.Close)
		})
	}
}

func TestAConnectionBeyondTheLimitIsToldSo(t *testing.T) {
	s := setup{sockets: true}
	s.http.MaxConnections = 1
	n := start(t, s)
	n.publish(newEvent("a", "1")) // over the one connection, which stays open
	for range 20 {
		conn, err := n.dial()
		require.NoError(t, err)
		answers := readAll(t, conn, "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat(" ", 100_000))
		require.NoError(t, conn.Close())
		require.Len(t, answers, 1)
		refused(t, answers[0], http.StatusServiceUnavailable, "overloaded")
	}
	n.requireCounts(1, 0)
}
