package httpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// drip sends a text and then a byte every now and then, for as long as the
// connection lasts.
func drip(conn net.Conn, text string) {
	if _, err := io.WriteString(conn, text); err != nil {
		return
	}
	often := time.NewTicker(5 * time.Millisecond)
	defer often.Stop()
	for range often.C {
		if _, err := conn.Write([]byte("a")); err != nil {
			return
		}
	}
}

// TestFault11SlowSendersAreEndedInTime has senders that never pause for long.
// The time for a request is one for all of it: if each byte got it anew, headers
// would be refused for their size after 8 KiB, and a body go on for hours.
func TestFault11SlowSendersAreEndedInTime(t *testing.T) {
	s := setup{sockets: true}
	s.http.ReadTimeout = 200 * time.Millisecond
	n := start(t, s)
	for name, text := range map[string]string{
		"in the request line":  "GET /",
		"in a header":          "GET /stats HTTP/1.1\r\nHost: x\r\nX: ",
		"in a body":            "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n",
		"in a chunk":           "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n700000\r\n",
		"in a chunk's size":    "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
		"in a trailer":         "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
		"in an asked-for body": "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8000000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := n.dial()
			require.NoError(t, err)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				drip(conn, text)
			}()
			answers := readAll(t, conn, "")
			if len(answers) == 2 {
				require.Equal(t, http.StatusContinue, answers[0].status)
			}
			refused(t, answers[len(answers)-1], http.StatusRequestTimeout, "request_timeout")
			require.NoError(t, conn.Close())
			<-sent
		})
	}
}

// announce opens connections that ask for leave to send 4 MiB each and get it:
// then their bodies are being received.
func (n *node) announce(count int) []net.Conn {
	n.t.Helper()
	conns := make([]net.Conn, count)
	for i := range conns {
		var err error
		conns[i], err = n.dial()
		require.NoError(n.t, err)
		_, err = io.WriteString(conns[i], "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4194304\r\n\r\n")
		require.NoError(n.t, err)
		line, err := bufio.NewReader(conns[i]).ReadString('\n')
		require.NoError(n.t, err)
		require.Contains(n.t, line, "100 Continue")
	}
	return conns
}

// TestFault11AnnouncedBodiesTakeNoMemory: what is charged is what has arrived,
// up to its limit, and not the 1.2 GiB that were announced.
func TestFault11AnnouncedBodiesTakeNoMemory(t *testing.T) {
	const senders, limit = 300, 20 << 20
	s := setup{sockets: true}
	s.http.MaxInFlightBodyBytes = limit
	n := start(t, s)
	conns := n.announce(senders)
	require.Zero(t, n.server.InFlightBodies())

	half := bytes.Repeat([]byte(" "), 40<<10) // for each of which 64 KiB are taken
	for _, conn := range conns {
		_, err := conn.Write(half)
		require.NoError(t, err)
	}
	const charged = senders * (64<<10 - 16<<10)
	require.Eventually(t, func() bool { return n.server.InFlightBodies() == charged }, time.Minute, time.Millisecond)
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Stored, "small ones get through")

	// Control: the limit is one. All send more than it has room for.
	refused := make(chan struct{}, senders)
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() {
			_, _ = conn.Write(bytes.Repeat([]byte(" "), 200<<10)) // or it is refused
			answer, _ := io.ReadAll(conn)                         // until it is closed here
			if strings.Contains(string(answer), `"code":"overloaded"`) {
				refused <- struct{}{}
			}
		})
	}
	<-refused
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	all.Wait()
	require.Eventually(t, func() bool { return n.server.InFlightBodies() == 0 }, time.Minute, time.Millisecond, "all is given back")
	prove.Report(t, prove.Result{Row: 11, Figures: []prove.Figure{
		{Name: "slow senders of 4 MiB", Value: senders}, {Name: "charged for 40 KiB of each", Value: charged, Unit: "bytes"},
	}})
}

// endless is a list that never ends.
func endless(_ context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
	e := sekali.StoredEvent{Seq: q.After + 1, ProcessedAt: time.Unix(0, 0)}
	e.Topic, e.ID, e.Source, e.Timestamp, e.Payload = "a", "1", "s", "2025-10-24T10:30:00Z", []byte(`{"x":"`+strings.Repeat("x", 64<<10)+`"}`)
	return sekali.EventsPage{Events: []sekali.StoredEvent{e}, Next: e.Seq, LastSeq: 1 << 40}, nil
}

// TestFault11SlowReadersTakeNoMoreThanTheirLimit has readers that ask for a list
// without end and do not read it.
func TestFault11SlowReadersTakeNoMoreThanTheirLimit(t *testing.T) {
	const readers = 4
	s := withScript(&scripted{events: endless})
	s.sockets = true
	s.http.MaxInFlightAnswerBytes = readers << 20
	n := start(t, s)
	var slow []net.Conn
	for range readers {
		conn, err := n.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		_, err = bufio.NewReaderSize(conn, 16).ReadString('\n') // it has begun
		require.NoError(t, err)
		slow = append(slow, conn)
	}
	require.EqualValues(t, readers<<20, n.server.InFlightAnswers())
	a := n.do("GET", "/events", "")
	refused(t, a, http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Stored)
	require.EqualValues(t, 1, n.stats().UniqueProcessed, "small answers are given")
	for _, conn := range slow {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return n.server.InFlightAnswers() == 0 }, time.Minute, time.Millisecond, "all is given back")
	require.Equal(t, http.StatusOK, n.do("HEAD", "/events", "").status)
	require.Zero(t, n.server.InFlightAnswers())
}

// TestALargeAnswerIsChargedWhileItIsSent reads an event of a megabyte, alone, in a
// page and in a stream.
func TestALargeAnswerIsChargedWhileItIsSent(t *testing.T) {
	s := setup{}
	s.http.MaxInFlightAnswerBytes = 8 << 20
	n := start(t, s)
	e := newEvent("a", "1")
	e.Payload = []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	n.publish(e)
	for _, path := range []string{"/events", "/events?limit=1", "/topics/a/events/1"} {
		for range 10 {
			a := n.do("GET", path, "")
			require.Equal(t, http.StatusOK, a.status)
			require.Contains(t, string(a.body), string(e.Payload))
			require.Empty(t, n.do("HEAD", path, "").body)
		}
	}
	require.Zero(t, n.server.InFlightAnswers())
	n.setup.http.MaxInFlightAnswerBytes = 1 << 19
	n.restart()
	for _, path := range []string{"/events", "/events?limit=1", "/topics/a/events/1"} {
		refused(t, n.do("GET", path, ""), http.StatusServiceUnavailable, "overloaded")
	}
	require.Zero(t, n.server.InFlightAnswers())
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	s := setup{sockets: true}
	s.http.IdleTimeout = 20 * time.Millisecond
	n := start(t, s)
	conn, err := n.dial()
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Equal(t, 1, strings.Count(string(all), "HTTP/1.1"), "nothing is said about it: %s", all)
}

// TestFault11ConnectionsThatEndMakeRoom fills the limit of connections in every
// way that a connection can end, more often than there is room.
func TestFault11ConnectionsThatEndMakeRoom(t *testing.T) {
	const limit = 4
	s := setup{sockets: true}
	s.http.MaxConnections = limit
	s.http.ReadTimeout = 50 * time.Millisecond
	n := start(t, s)
	n.http.CloseIdleConnections()
	for i := range 10 * limit {
		for name, text := range map[string]string{
			"closed":    "",
			"half":      "GET /re",
			"malformed": "GET /readyz\r\n\r\n",
			"answered":  "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"too large": "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
		} {
			conn, err := n.dial()
			require.NoError(t, err)
			_, err = io.WriteString(conn, text)
			require.NoError(t, err, fmt.Sprint(name, i))
			require.NoError(t, conn.Close())
		}
	}
	require.Eventually(t, func() bool {
		conn, err := n.dial()
		require.NoError(t, err)
		answers := readAll(t, conn, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, conn.Close())
		return len(answers) == 1 && answers[0].status == http.StatusOK
	}, time.Minute, time.Millisecond)
}
