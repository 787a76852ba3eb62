package httpserver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answer is what the server said, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and holds the answer against the API's description.
// header is "Name: value" lines.
func (n *node) do(method, path, body string, header ...string) answer {
	n.t.Helper()
	a, err := n.try(method, path, body, header...)
	require.NoError(n.t, err)
	return a
}

// try is do for requests that may break: it is safe in any goroutine and
// leaves the verdict to the caller, that on the description excepted.
func (n *node) try(method, path, body string, header ...string) (answer, error) {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), method, "http://sekali.test"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body == "" {
		request.Body = nil
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	response, err := n.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	a, err := read(response)
	if err == nil {
		n.check(method, path, a)
	}
	return a, err
}

func read(response *http.Response) (answer, error) {
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, errors.Join(err, response.Body.Close())
}

// check holds an answer against the API's description.
func (n *node) check(method, path string, a answer) {
	n.t.Helper()
	checker(n.t).Check(n.t, method, path, a.status, a.header, a.body)
	if a.header.Get("X-Request-Id") == "" {
		n.t.Errorf("%s %s: the answer has no X-Request-Id", method, path)
	}
}

// raw sends bytes over a connection of its own and reads the answers until the
// server closes it. It is for what an HTTP client refuses to send; method and
// path are what the answers are checked as, both empty when the server cannot
// know them.
func (n *node) raw(method, path, request string) []answer {
	n.t.Helper()
	conn, err := n.dial()
	require.NoError(n.t, err)
	defer func() { _ = conn.Close() }() // the server may have closed it
	answers := readAll(n.t, conn, request)
	for _, a := range answers {
		n.check(method, path, a)
	}
	return answers
}

// readAll sends bytes and reads the answers until one of them is the last.
func readAll(t testing.TB, conn net.Conn, request string) (answers []answer) {
	t.Helper()
	// The server may answer and close before it has read everything.
	_, _ = io.WriteString(conn, request)
	for reader := bufio.NewReader(conn); ; {
		if _, err := reader.Peek(1); err != nil {
			return answers
		}
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		a, err := read(response)
		require.NoError(t, err)
		answers = append(answers, a)
		if response.Close {
			return answers
		}
	}
}

// as decodes the body.
func as[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(a.body, &v), "%s", a.body)
	return v
}

// event is one as a sender writes it.
type event struct {
	Topic     string          `json:"topic"`
	EventID   string          `json:"event_id"`
	Timestamp string          `json:"timestamp"`
	Source    string          `json:"source"`
	Payload   json.RawMessage `json:"payload"`
}

// storedEvent is one as it comes back.
type storedEvent struct {
	event
	Seq         int64  `json:"seq"`
	ProcessedAt string `json:"processed_at"`
}

// newEvent returns a valid event.
func newEvent(topic, id string) event {
	return event{Topic: topic, EventID: id, Timestamp: "2025-10-24T10:30:00Z", Source: "test", Payload: json.RawMessage(`{"n":1}`)}
}

func newEvents(topic string, ids ...string) []event {
	events := make([]event, len(ids))
	for i, id := range ids {
		events[i] = newEvent(topic, id)
	}
	return events
}

func encode(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return b.String()
}

// result is the outcome of one event.
type result struct {
	Outcome  string    `json:"outcome"`
	Seq      int64     `json:"seq"`
	Conflict bool      `json:"conflict"`
	Detail   []problem `json:"detail"`
}

// problem is one entry of FastAPI's error list.
type problem struct {
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
	Type string `json:"type"`
}

// at returns the place of a problem like "body.0.topic".
func (p problem) at() string {
	parts := make([]string, len(p.Loc))
	for i, part := range p.Loc {
		parts[i] = fmt.Sprint(part)
	}
	return strings.Join(parts, ".")
}

// published is the answer to a taken request.
type published struct {
	Status     string   `json:"status"`
	Accepted   int      `json:"accepted"`
	Stored     int      `json:"stored"`
	Duplicates int      `json:"duplicates"`
	Invalid    *int     `json:"invalid"`
	Results    []result `json:"results"`
}

// publish sends an event, or a list of them, that must be taken.
func (n *node) publish(v any, header ...string) published {
	n.t.Helper()
	return n.publishBody(encode(n.t, v), header...)
}

func (n *node) publishBody(body string, header ...string) published {
	n.t.Helper()
	a := n.do("POST", "/publish", body, append([]string{"Content-Type: application/json"}, header...)...)
	require.Equal(n.t, http.StatusOK, a.status, "%s", a.body)
	p := as[published](n.t, a)
	require.Equal(n.t, "ok", p.Status)
	require.Equal(n.t, p.Accepted, p.Stored+p.Duplicates)
	return p
}

// refusal is the body of an error.
type refusal struct {
	Code      string          `json:"code"`
	Detail    json.RawMessage `json:"detail"`
	RequestID string          `json:"request_id"`
}

// refused checks the shape of an error and returns it.
func refused(t testing.TB, a answer, status int, code string) refusal {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	r := as[refusal](t, a)
	require.Equal(t, code, r.Code)
	require.Equal(t, a.header.Get("X-Request-Id"), r.RequestID)
	return r
}

// problems returns the list of faults of a 422.
func problems(t testing.TB, a answer, code string) []problem {
	t.Helper()
	var list []problem
	require.NoError(t, json.Unmarshal(refused(t, a, http.StatusUnprocessableEntity, code).Detail, &list))
	require.NotEmpty(t, list)
	return list
}

// stats is the answer of GET /stats.
type stats struct {
	Received         int64    `json:"received"`
	UniqueProcessed  int64    `json:"unique_processed"`
	DuplicateDropped int64    `json:"duplicate_dropped"`
	Topics           []string `json:"topics"`
	UptimeSeconds    float64  `json:"uptime_seconds"`
	Conflicts        int64    `json:"conflicts"`
	TopicsTotal      int64    `json:"topics_total"`
	TopicsTruncated  bool     `json:"topics_truncated"`
	InFlight         int      `json:"in_flight"`
	Durability       string   `json:"durability"`
	StartedAt        string   `json:"started_at"`
}

// stats asks for the counts and checks that they add up.
func (n *node) stats() stats {
	n.t.Helper()
	a := n.do("GET", "/stats", "")
	require.Equal(n.t, http.StatusOK, a.status, "%s", a.body)
	s := as[stats](n.t, a)
	require.Equal(n.t, s.Received, s.UniqueProcessed+s.DuplicateDropped)
	return s
}

// requireCounts checks the unique events and the duplicates of /stats.
func (n *node) requireCounts(unique, duplicates int64) {
	n.t.Helper()
	s := n.stats()
	require.Equal(n.t, unique, s.UniqueProcessed, "unique_processed")
	require.Equal(n.t, duplicates, s.DuplicateDropped, "duplicate_dropped")
}

// events asks for a list.
func (n *node) events(query string) []storedEvent {
	n.t.Helper()
	a := n.do("GET", "/events"+query, "")
	require.Equal(n.t, http.StatusOK, a.status, "%s", a.body)
	return as[[]storedEvent](n.t, a)
}

func ids(events []storedEvent) []string {
	list := make([]string, len(events))
	for i := range events {
		list[i] = events[i].EventID
	}
	return list
}

// numbered returns the ids prefix-0 ... prefix-(count-1).
func numbered(prefix string, count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = prefix + "-" + strconv.Itoa(i)
	}
	return list
}
