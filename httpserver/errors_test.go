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
	"sekali/httpserver"
	"sekali/persistence/faultstore"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	tests := []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/nowhere", 404, "not_found", ""},
		{"POST", "/nowhere", 404, "not_found", ""},
		{"GET", "/publish/", 404, "not_found", ""},
		{"GET", "/Stats", 404, "not_found", ""},
		{"GET", "/stats/", 404, "not_found", ""},
		{"GET", "/stats%2F", 404, "not_found", ""},
		{"GET", "/a/../stats", 404, "not_found", ""},
		{"GET", "/topics/a/events", 404, "not_found", ""},
		{"GET", "/topics/a/events/1/2", 404, "not_found", ""},
		{"GET", "/docs/nothing.js", 404, "not_found", ""},
		{"GET", "/docs/..%2Fembed.go", 404, "not_found", ""},
		{"GET", "/publish", 405, "method_not_allowed", "POST"},
		{"HEAD", "/publish", 405, "method_not_allowed", "POST"},
		{"DELETE", "/events", 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/stats", 405, "method_not_allowed", "GET, HEAD"},
		{"PUT", "/topics/a/events/1", 405, "method_not_allowed", "GET, HEAD"},
		{"OPTIONS", "/publish", 405, "method_not_allowed", "POST"},
		{"TRACE", "/", 405, "method_not_allowed", "GET, HEAD"},
		{"BREW", "/", 405, "method_not_allowed", "GET, HEAD"},
	}
	n := start(t, setup{})
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			n := n.on(t)
			a := n.do(tt.method, tt.path, "")
			require.Equal(t, tt.allow, a.header.Get("Allow"))
			if tt.method == http.MethodHead {
				require.Equal(t, tt.status, a.status)
				return
			}
			refused(t, a, tt.status, tt.code)
		})
	}
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	n := start(t, setup{})
	first := n.do("GET", "/stats", "").header.Get("X-Request-Id")
	require.NotEqual(t, first, n.do("GET", "/stats", "").header.Get("X-Request-Id"))
	long := strings.Repeat("a", 128)
	for _, given := range []string{"abc", "A-b_c.9", long} {
		require.Equal(t, given, n.do("GET", "/stats", "", "X-Request-Id: "+given).header.Get("X-Request-Id"))
		refused(t, n.do("POST", "/publish", "x", "X-Request-Id: "+given), http.StatusBadRequest, "malformed")
	}
	for _, given := range []string{long + "a", "a b", `"><script>`, "é", "a,b", "{}"} {
		require.NotEqual(t, given, n.do("GET", "/stats", "", "X-Request-Id: "+given).header.Get("X-Request-Id"), "%q is not echoed", given)
	}
}

func TestEveryCodeOfTheDomainHasItsStatus(t *testing.T) {
	script := &scripted{}
	n := start(t, withScript(script))
	for _, info := range httpserver.ErrorTable {
		if info.Status < 429 || info.Code == "headers_too_large" {
			continue // those of the protocol have tests of their own
		}
		t.Run(string(info.Code), func(t *testing.T) {
			n := n.on(t)
			err := &sekali.Error{Code: info.Code, Message: "say <this>", RetryAfter: 1500 * time.Millisecond, Err: errors.New("secret")}
			script.ingest = func(context.Context, []sekali.Event) ([]sekali.Result, error) {
				return nil, fmt.Errorf("wrapped: %w", err)
			}
			for _, path := range []string{"/publish", "/publish/batch"} {
				a := n.do("POST", path, encode(t, newEvent("a", "1")))
				require.JSONEq(t, `"say <this>"`, string(refused(t, a, info.Status, string(info.Code)).Detail))
				require.Equal(t, "2", a.header.Get("Retry-After"), "rounded up to seconds")
				require.NotContains(t, string(a.body), "secret")
			}
		})
	}
}

func TestAFailedReadIsAnswered(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"a query that took too long", &sekali.Error{Code: sekali.CodeStorageBusy, Message: "busy", RetryAfter: time.Second}, 503, "storage_busy"},
		{"an answer that did not come in time", fmt.Errorf("wait: %w", context.DeadlineExceeded), 503, "storage_busy"},
		{"an error without a code", errors.New("secret"), 500, "internal"},
	}
	script := &scripted{}
	n := start(t, withScript(script))
	for _, tt := range tests {
		for _, path := range []string{"/events", "/events?limit=1", "/topics", "/topics/a/events/1", "/stats"} {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				n := n.on(t)
				script.fail = func() error { return tt.err }
				a := n.do("GET", path, "")
				refused(t, a, tt.status, tt.code)
				require.NotContains(t, string(a.body), "secret")
				require.Equal(t, tt.status == 503, a.header.Get("Retry-After") != "")
			})
		}
	}
}

func TestAFullServerRefusesAndStoresNothingOfIt(t *testing.T) {
	s := setup{}
	s.actors.MaxInFlightEvents = 2
	n, store := startGated(t, s)
	waiting := n.inBackground(newEvent("a", "1"))
	<-store.entered

	a := n.do("POST", "/publish", encode(t, newEvents("b", "1", "2")))
	refused(t, a, http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.Equal(t, 1, n.stats().InFlight)

	store.open()
	require.Equal(t, http.StatusOK, (<-waiting).status)
	n.requireCounts(1, 0)
	require.Equal(t, 2, n.publish(newEvents("b", "1", "2")).Stored, "afterwards they are taken")
}

// TestAFullServerRefusesBeforeItParses: bodies that are no JSON are refused for
// the lack of room, and one that is only announced is not asked for.
func TestAFullServerRefusesBeforeItParses(t *testing.T) {
	s := setup{}
	s.actors.MaxInFlightEvents = 1
	n, store := startGated(t, s)
	waiting := n.inBackground(newEvent("a", "1"))
	<-store.entered
	refused(t, n.do("POST", "/publish", encode(t, newEvent("a", "2"))), http.StatusServiceUnavailable, "overloaded")

	a := n.do("POST", "/publish", "{")
	refused(t, a, http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	expecting := func() string {
		conn, err := n.dial()
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		_, err = io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Contains(t, expecting(), "HTTP/1.1 503 ")

	store.open()
	require.Equal(t, http.StatusOK, (<-waiting).status)
	refused(t, n.do("POST", "/publish", "{"), http.StatusBadRequest, "malformed")
	require.Contains(t, expecting(), "HTTP/1.1 100 ")
}

// inBackground publishes while the test goes on.
func (n *node) inBackground(v any) <-chan answer {
	n.t.Helper()
	body := encode(n.t, v)
	answers := make(chan answer, 1)
	go func() {
		a, err := n.try("POST", "/publish", body)
		if err != nil {
			n.t.Errorf("publish: %v", err)
		}
		answers <- a
	}()
	return answers
}

func TestABusyTopicIsRefusedAndTheOthersAreNot(t *testing.T) {
	s := setup{}
	s.actors.MaxTopicInFlightEvents = 1
	n, store := startGated(t, s)
	noisy := n.inBackground(newEvent("noisy", "1"))
	<-store.entered
	a := n.do("POST", "/publish", encode(t, newEvent("noisy", "2")))
	refused(t, a, http.StatusTooManyRequests, "topic_overloaded")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	quiet := n.inBackground(newEvent("quiet", "1"))
	store.open()
	require.Equal(t, http.StatusOK, (<-noisy).status)
	require.Equal(t, http.StatusOK, (<-quiet).status)
	n.requireCounts(2, 0)
}

func TestADrainingServerAnswersWhatItTookAndRefusesTheRest(t *testing.T) {
	n, store := startGated(t, setup{})
	waiting := n.inBackground(newEvent("a", "1"))
	<-store.entered
	drained := make(chan error, 1)
	go func() { drained <- n.system.Drain(context.Background()) }()
	require.Eventually(t, func() bool { return n.do("GET", "/readyz", "").status == http.StatusServiceUnavailable }, time.Minute, time.Millisecond)

	for _, path := range []string{"/publish", "/publish/batch"} {
		a := n.do("POST", path, encode(t, newEvent("a", "2")))
		refused(t, a, http.StatusServiceUnavailable, "shutting_down")
		require.Equal(t, "1", a.header.Get("Retry-After"))
	}
	refused(t, n.do("GET", "/readyz", ""), http.StatusServiceUnavailable, "shutting_down")
	require.Equal(t, http.StatusOK, n.do("GET", "/health", "").status, "it is alive")
	require.Contains(t, string(n.do("GET", "/", "").body), `"status":"shutting_down"`)

	store.open()
	require.Equal(t, http.StatusOK, (<-waiting).status)
	require.NoError(t, <-drained)
	n.requireCounts(1, 0)
	n.restart()
	require.Equal(t, []string{"1"}, ids(n.events("")))
}

func TestACommitThatHangsIsAnsweredInTime(t *testing.T) {
	s := setup{}
	s.http.RequestTimeout = 20 * time.Millisecond
	n, store := startGated(t, s)
	a := n.do("POST", "/publish", encode(t, newEvent("a", "1")))
	refused(t, a, http.StatusServiceUnavailable, "commit_timeout")
	require.NotEmpty(t, a.header.Get("Retry-After"))

	store.open()
	n.setup.http.RequestTimeout = 0
	n.restart() // which waits for the commit
	require.Equal(t, []result{{Outcome: "duplicate", Seq: 1}}, n.publish(newEvent("a", "1")).Results, "it was written after all")
}

func TestAPassingStorageErrorIsAnsweredAndForgotten(t *testing.T) {
	tests := []struct {
		code   sekali.Code
		status int
	}{{sekali.CodeStorageBusy, http.StatusServiceUnavailable}, {sekali.CodeStorageFull, http.StatusInsufficientStorage}}
	for _, tt := range tests {
		t.Run(string(tt.code), func(t *testing.T) {
			failure := &sekali.Error{Code: tt.code, Message: "wait", RetryAfter: time.Second}
			n := startFailing(t, failure, nil, failure)
			batch := encode(t, newEvents("a", "1", "2"))
			a := n.do("POST", "/publish", batch)
			refused(t, a, tt.status, string(tt.code))
			require.Equal(t, "1", a.header.Get("Retry-After"))
			require.Equal(t, http.StatusOK, n.do("GET", "/readyz", "").status)
			n.requireCounts(0, 0)
			require.Equal(t, 2, n.publishBody(batch).Stored)
			refused(t, n.do("POST", "/publish", encode(t, newEvents("a", "3"))), tt.status, string(tt.code))
			require.Equal(t, 1, n.publish(newEvents("a", "2", "3")).Stored)
			n.requireCounts(3, 1)
		})
	}
}

// TestReadinessFollowsTheStoreBetweenTwoWrites: a full disk, or a failure that
// no write has met, is said at once, also for ids that memory knows.
func TestReadinessFollowsTheStoreBetweenTwoWrites(t *testing.T) {
	for _, tt := range []struct {
		err    *sekali.Error
		status int
	}{
		{&sekali.Error{Code: sekali.CodeStorageFull, Message: "full", RetryAfter: time.Second}, http.StatusInsufficientStorage},
		{sekali.ErrStorageFailed, http.StatusServiceUnavailable},
	} {
		var store *faultstore.Store
		n := start(t, setup{store: func(real sekali.Store) sekali.Store {
			store = faultstore.New(real)
			return store
		}})
		n.publish(newEvent("a", "1"))
		store.SetReady(tt.err)
		refused(t, n.do("GET", "/readyz", ""), tt.status, string(tt.err.Code))
		for _, id := range []string{"1", "2"} {
			refused(t, n.do("POST", "/publish", encode(t, newEvent("a", id))), tt.status, string(tt.err.Code))
		}
		require.Equal(t, []string{"1"}, ids(n.events("")), "reads go on")
		require.Equal(t, 1, store.Calls(), "the store was not asked to write")
		store.SetReady(nil)
		require.Equal(t, http.StatusOK, n.do("GET", "/readyz", "").status)
		require.Equal(t, 1, n.publish(newEvents("a", "1", "2")).Stored)
	}
}

func TestAfterAFailedCommitNothingIsAcknowledged(t *testing.T) {
	for _, failure := range []error{sekali.ErrStorageFailed, errors.New("input/output error")} {
		t.Run(failure.Error(), func(t *testing.T) {
			n := startFailing(t, nil, failure)
			n.publish(newEvent("a", "1"))
			for _, id := range []string{"2", "2", "3"} {
				a := n.do("POST", "/publish", encode(t, newEvent("a", id)))
				refused(t, a, http.StatusServiceUnavailable, "storage_failed")
				require.NotEmpty(t, a.header.Get("Retry-After"))
				require.NotContains(t, string(a.body), "input/output")
			}
			refused(t, n.do("GET", "/readyz", ""), http.StatusServiceUnavailable, "storage_failed")
			<-n.system.Failed()
			n.requireCounts(1, 0)
			require.Equal(t, []string{"1"}, ids(n.events("")), "what was answered can be read")
		})
	}
}
