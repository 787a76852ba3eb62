package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// newServer starts a server on the loopback and a client of it that hardly
// pauses between attempts.
func newServer(t testing.TB, options client.Options, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	if options.MinBackoff == 0 {
		options.MinBackoff, options.MaxBackoff = 1, 1
	}
	c, err := client.New(server.URL, options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// transport answers without a network, so that a test can run on synctest's
// clock.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newFake(t testing.TB, options client.Options, answer transport) *client.Client {
	t.Helper()
	options.HTTPClient = &http.Client{Transport: answer}
	c, err := client.New("http://sekali.test", options)
	require.NoError(t, err)
	return c
}

func response(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func retryAfter(value string) http.Header { return http.Header{"Retry-After": {value}} }

const overloaded = `{"code":"overloaded","detail":"too much at once","request_id":"r-1"}`

// wireEvent is an event as it arrives at a server.
type wireEvent struct {
	Topic     string          `json:"topic"`
	EventID   string          `json:"event_id"`
	Timestamp string          `json:"timestamp"`
	Source    string          `json:"source"`
	Payload   json.RawMessage `json:"payload"`
}

func readEvents(t testing.TB, r *http.Request) []wireEvent {
	t.Helper()
	var events []wireEvent
	require.NoError(t, json.NewDecoder(r.Body).Decode(&events))
	return events
}

// storedAnswer is the answer that stores n events from seq first on.
func storedAnswer(n int, first int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"status":"ok","accepted":%d,"stored":%d,"duplicates":0,"results":[`, n, n)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"outcome":"stored","seq":%d}`, first+int64(i))
	}
	b.WriteString("]}")
	return b.String()
}

func event(id string) sekali.Event {
	return sekali.Event{
		Topic: "order.created", ID: id, Source: "order-service",
		Timestamp: "2025-10-24T10:30:00Z", Payload: []byte(`{"n":1}`),
	}
}

func events(n int) []sekali.Event {
	list := make([]sekali.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("order-%03d", i))
	}
	return list
}

func write(t testing.TB, w http.ResponseWriter, status int, body string) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := io.WriteString(w, body)
	if err != nil {
		t.Logf("the client hung up: %v", err)
	}
}
