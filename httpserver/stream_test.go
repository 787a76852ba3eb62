package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

// pages returns a list of events that never ends, a page after the other, and
// fails at page number failAt with fail.
func pages(failAt int, fail func() error) func(context.Context, sekali.EventsQuery) (sekali.EventsPage, error) {
	payload := []byte(`{"x":"` + strings.Repeat("x", 64<<10) + `"}`)
	page := 0
	return func(_ context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
		if page++; page == failAt {
			if err := fail(); err != nil {
				return sekali.EventsPage{}, err
			}
			return sekali.EventsPage{}, nil
		}
		e := sekali.StoredEvent{Seq: q.After + 1, ProcessedAt: time.Unix(0, 0)}
		e.Topic, e.ID, e.Source, e.Timestamp, e.Payload = "a", fmt.Sprint(q.After+1), "s", "2025-10-24T10:30:00Z", payload
		return sekali.EventsPage{Events: []sekali.StoredEvent{e}, Next: e.Seq, LastSeq: 1 << 40}, nil
	}
}

func TestAStreamThatFailsBreaksTheConnectionOff(t *testing.T) {
	tests := []struct {
		name   string
		fail   func() error
		broken bool
	}{
		{"an error", func() error { return errors.New("scripted") }, true},
		{"the end of the list, as the control", func() error { return nil }, false},
	}
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		for _, tt := range tests {
			t.Run(accept+" "+tt.name, func(t *testing.T) {
				n := start(t, withScript(&scripted{events: pages(4, tt.fail)}))
				a, err := n.try("GET", "/events", "", "Accept: "+accept)
				if tt.broken {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					return
				}
				require.NoError(t, err)
				require.Equal(t, 3, strings.Count(string(a.body), `"seq":`))
			})
		}
	}
}

func TestAPanicInAStreamEndsThatStreamOnly(t *testing.T) {
	n := start(t, withScript(&scripted{events: pages(4, func() error { panic("scripted") })}))
	_, err := n.try("GET", "/events", "")
	require.Error(t, err)
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Stored)
}

func TestAnErrorBeforeTheFirstPageIsAnAnswer(t *testing.T) {
	n := start(t, withScript(&scripted{events: pages(1, func() error { return errors.New("scripted") })}))
	refused(t, n.do("GET", "/events", ""), http.StatusInternalServerError, "internal")
}

func TestAReaderThatDoesNotReadIsBrokenOff(t *testing.T) {
	s := withScript(&scripted{events: pages(-1, nil)})
	s.sockets = true
	s.closed = make(chan struct{}, 1)
	s.http.WriteTimeout = 20 * time.Millisecond
	n := start(t, s)
	conn, err := n.dial()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)

	<-s.closed // the list has no end, so the server has given up
	got, err := io.ReadAll(conn)
	if err == nil { // otherwise the break itself tells the reader
		require.False(t, strings.HasSuffix(string(got), "\r\n0\r\n\r\n"), "the list does not look whole")
	}
}

func TestAReaderThatReadsSlowlyGetsTheWholeList(t *testing.T) {
	s := setup{}
	s.http.WriteTimeout = time.Minute
	n := start(t, s)
	n.publish(newEvents("a", numbered("e", 2000)...))
	conn, err := n.dial()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	require.NoError(t, err)
	var body strings.Builder
	published := false
	for buffer := make([]byte, 1000); ; {
		read, err := response.Body.Read(buffer)
		body.Write(buffer[:read])
		if !published {
			published = true
			n.publish(newEvent("a", "late")) // it is not in the list: that has an end
		}
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.NoError(t, response.Body.Close())
	require.Len(t, as[[]storedEvent](t, answer{body: []byte(body.String())}), 2000)
}
