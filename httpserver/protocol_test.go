package httpserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBrokenHTTPIsAnsweredInTheShapeOfEveryError(t *testing.T) {
	const host = "Host: x\r\n"
	tests := []struct {
		name, request string
		status        int
		code          string
	}{
		{"garbage", "\x16\x03\x01\x02\x00\x01\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"no version", "GET /stats\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"HTTP/1.2", "GET /stats HTTP/1.2\r\n" + host + "\r\n", http.StatusBadRequest, "malformed"},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"a header without a colon", "GET /stats HTTP/1.1\r\n" + host + "abc\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"a header in two lines", "GET /stats HTTP/1.1\r\n" + host + "X: y\r\n z\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"no host", "GET /stats HTTP/1.1\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"two hosts", "GET /stats HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"a negative length", "POST /publish HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"a length that is no number", "POST /publish HTTP/1.1\r\n" + host + "Content-Length: x\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"two lengths", "POST /publish HTTP/1.1\r\n" + host + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]", http.StatusBadRequest, "malformed"},
		{"a chunk that is no number", "POST /publish HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"another transfer encoding", "POST /publish HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"a path with half an escape", "GET /topics/%2/events/1 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", http.StatusBadRequest, "malformed"},
		{"too long a path", "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\n" + host + "\r\n", http.StatusRequestHeaderFieldsTooLarge, "headers_too_large"},
		{"too many headers", "GET /stats HTTP/1.1\r\n" + host + strings.Repeat("A: b\r\n", 2000) + "\r\n", http.StatusRequestHeaderFieldsTooLarge, "headers_too_large"},
		{"an unknown expectation", "POST /publish HTTP/1.1\r\n" + host + "Expect: more\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]", http.StatusExpectationFailed, "expectation_failed"},
		{"a method in small letters", "get /stats HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", http.StatusMethodNotAllowed, "method_not_allowed"},
	}
	n := start(t, setup{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := n.on(t)
			answers := n.raw("", "", tt.request)
			require.Len(t, answers, 1)
			refused(t, answers[0], tt.status, tt.code)
		})
	}
	n.requireUntouched()
}

func TestNothingIsSmuggledInBehindARequestOfTwoLengths(t *testing.T) {
	n := start(t, setup{})
	const smuggled = "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, head := range []string{
		"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
		"content-length: 4\r\ntransfer-encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: xchunked\r\n",
	} {
		t.Run(head, func(t *testing.T) {
			n := n.on(t)
			answers := n.raw("", "", "POST /publish HTTP/1.1\r\nHost: x\r\n"+head+"\r\n0\r\n\r\n"+smuggled)
			require.Len(t, answers, 1, "the connection is closed behind the first answer")
			refused(t, answers[0], http.StatusBadRequest, "malformed")
		})
	}
	control := n.raw("GET", "/stats", strings.Replace(smuggled, "Connection: close\r\n", "", 1)+smuggled)
	require.Len(t, control, 2, "otherwise a second request is answered")
}

func TestARequestThatDoesNotArriveIsTimedOut(t *testing.T) {
	s := setup{sockets: true}
	s.http.ReadTimeout = 20 * time.Millisecond
	n := start(t, s)
	for _, half := range []string{"POST /publish HTTP/1.1\r\nHo", "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"} {
		answers := n.raw("", "", half)
		require.Len(t, answers, 1)
		refused(t, answers[0], http.StatusRequestTimeout, "request_timeout")
	}
}

func TestASenderMayAskBeforeItSendsTheBody(t *testing.T) {
	n := start(t, setup{})
	body := encode(t, newEvent("a", "1"))
	a := n.do("POST", "/publish", body, "Expect: 100-continue")
	require.Equal(t, http.StatusOK, a.status)
	n.requireCounts(1, 0)
}

func TestHTTP10IsAnswered(t *testing.T) {
	n := start(t, setup{})
	answers := n.raw("GET", "/stats", "GET /stats HTTP/1.0\r\n\r\n")
	require.Len(t, answers, 1)
	require.Equal(t, http.StatusOK, answers[0].status)
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	n := start(t, setup{})
	var requests strings.Builder
	for _, id := range []string{"1", "2", "1"} {
		body := encode(t, newEvent("a", id))
		requests.WriteString("POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		requests.WriteString(chunk(body) + "0\r\n\r\n")
	}
	requests.WriteString("GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	conn, err := n.dial()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	answers := readAll(t, conn, requests.String())
	require.Len(t, answers, 4)
	require.Equal(t, []result{{Outcome: "duplicate", Seq: 1}}, as[published](t, answers[2]).Results)
	require.EqualValues(t, 3, as[stats](t, answers[3]).Received)
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	s := setup{}
	s.http.MaxConnections = 1
	n := start(t, s)
	n.publish(newEvent("a", "1")) // over the one connection, which stays open
	conn, err := n.dial()
	require.NoError(t, err)
	answers := readAll(t, conn, "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, conn.Close())
	require.Len(t, answers, 1)
	n.check("", "", answers[0])
	refused(t, answers[0], http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, "1", answers[0].header.Get("Retry-After"))
	n.requireCounts(1, 0)
}

func TestABodyThatIsTooLargeIsRefusedWhereverItGoes(t *testing.T) {
	s := setup{}
	s.http.MaxBodyBytes = 10
	n := start(t, s)
	answers := n.raw("GET", "/stats", "GET /stats HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{")
	require.Len(t, answers, 1)
	refused(t, answers[0], http.StatusRequestEntityTooLarge, "body_too_large")
}
