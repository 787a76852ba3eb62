package httpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/access"
	"sekali/httpserver"
)

func TestTheFirstKeyClosesARunningServer(t *testing.T) {
	l := withKeys(t, access.Options{})
	n := start(t, l.setup)
	require.Equal(t, http.StatusOK, n.do("GET", "/stats", "", "Authorization: Bearer whatever").status, "without keys nobody looks at them")
	key := l.key(t, "first", access.Read)
	a := n.do("GET", "/stats", "")
	require.Contains(t, string(refused(t, a, http.StatusUnauthorized, "unauthorized").Detail), "needs a key")
	require.Equal(t, `Bearer realm="sekali"`, a.header.Get("WWW-Authenticate"))
	require.Equal(t, http.StatusOK, n.do("GET", "/stats", "", key).status)
	_, err := l.guard.Revoke("first")
	require.NoError(t, err)
	refused(t, n.do("GET", "/stats", "", key), http.StatusUnauthorized, "unauthorized")
	refused(t, n.do("GET", "/stats", ""), http.StatusUnauthorized, "unauthorized")
}

func TestStrangersLearnNoVersion(t *testing.T) {
	l := withKeys(t, access.Options{})
	key := l.key(t, "k", access.Publish)
	n := start(t, l.setup)
	for _, path := range []string{"/", "/health", "/healthz", "/readyz", "/version", "/nowhere"} {
		a := n.do("GET", path, "")
		require.NotContains(t, string(a.body), "1.2.3", path)
	}
	for _, path := range []string{"/", "/health", "/version"} {
		require.Contains(t, string(n.do("GET", path, "", key).body), "v1.2.3", path)
	}
}

// TestARefusedBodyIsNotReceived has strangers announce large bodies. The
// answer comes at once, and the bodies take nothing of the memory for them.
func TestARefusedBodyIsNotReceived(t *testing.T) {
	l := withKeys(t, access.Options{})
	l.sockets = true
	l.key(t, "k", access.Publish)
	n := start(t, l.setup)
	for name, framing := range map[string]string{
		"announced":                 "Content-Length: 5000000\r\n\r\n[",
		"announced as too large":    "Content-Length: 50000000\r\n\r\n[",
		"announced, to be asked":    "Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n",
		"chunked, to be asked":      "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
		"to be asked, without keys": "Content-Length: 10\r\nExpect: 100-continue\r\nAuthorization: Bearer x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			n := n.on(t)
			conn, err := n.dial()
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close()) }()
			_, err = io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: x\r\n"+framing)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil) // nothing more has to be sent for it
			require.NoError(t, err)
			a, err := read(response)
			require.NoError(t, err)
			n.check("POST", "/publish", a)
			refused(t, a, http.StatusUnauthorized, "unauthorized")
			require.True(t, response.Close)
			require.Zero(t, n.server.InFlightBodies())
		})
	}
}

// TestASmallRefusedBodyLeavesTheConnection: what comes behind it is the next
// request, nothing of the body.
func TestASmallRefusedBodyLeavesTheConnection(t *testing.T) {
	l := withKeys(t, access.Options{})
	key := l.key(t, "k", access.Publish)
	n := start(t, l.setup)
	conn, err := n.dial()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	in := bufio.NewReader(conn)
	smuggled := "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, size := range []int{0, 1, 100, 8 << 10, 100_000, 1 << 20} {
		body := strings.Repeat(smuggled, size/len(smuggled)+1)[:size]
		for _, framing := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", oneChunk(body)),
		} {
			status, _ := ask(t, conn, in, "POST /publish HTTP/1.1\r\nHost: x\r\n"+framing)
			require.Equal(t, http.StatusUnauthorized, status)
			status, answer := ask(t, conn, in, "GET /version HTTP/1.1\r\nHost: x\r\n"+key+"\r\n\r\n")
			require.Equal(t, http.StatusOK, status, "after %d bytes", size)
			require.Contains(t, answer, "v1.2.3")
		}
	}
}

func TestAKeyIsKeptToItsTopics(t *testing.T) {
	l := withKeys(t, access.Options{})
	all := l.key(t, "all", access.Publish, access.Read)
	mine, _ := l.create(t, access.Spec{Name: "mine", Scopes: access.Scopes()[:2], TopicPrefixes: []string{"b.", "order.", "order.x", "é"}})
	n := start(t, l.setup)
	topics := []string{"a", "b", "b-", "b.", "b.1", "b.2", "b/", "order", "order.", "order.x1", "order.y", "orders", "z", "è", "éa", "ê", "Ѐ"}
	var events []event
	for _, topic := range topics {
		events = append(events, newEvent(topic, "1"))
	}
	n.publish(events, all)

	visible := []string{"b.", "b.1", "b.2", "order.", "order.x1", "order.y", "éa"}
	for _, limit := range []int{1, 2, 3, 6, 7, 8, 100} {
		var listed []string
		after := ""
		for more := true; more; {
			a := n.do("GET", fmt.Sprintf("/topics?limit=%d&after=%s", limit, after), "", mine)
			page := as[struct {
				Topics []struct{ Topic string }
				Next   string
			}](t, a)
			for _, topic := range page.Topics {
				listed = append(listed, topic.Topic)
			}
			after, more = page.Next, page.Next != ""
		}
		require.Equal(t, visible, listed, "pages of %d", limit)
	}

	for _, topic := range topics {
		want := http.StatusForbidden
		if strings.HasPrefix(topic, "b.") || strings.HasPrefix(topic, "order.") || strings.HasPrefix(topic, "é") {
			want = http.StatusOK
		}
		for _, path := range []string{"/events?topic=" + topic, "/events?limit=1&topic=" + topic, "/topics/" + strings.ReplaceAll(topic, "/", "%2F") + "/events/1"} {
			require.Equal(t, want, n.do("GET", path, "", mine).status, path)
		}
		require.Equal(t, want, n.do("POST", "/publish", encode(t, newEvent(topic, "2")), mine).status, topic)
	}
	for path, says := range map[string]string{"/events": "name one of them", "/events?event_id=1": "name one", "/stats": "GET /topics"} {
		require.Contains(t, string(refused(t, n.do("GET", path, "", mine), http.StatusForbidden, "forbidden").Detail), says)
	}
	refused(t, n.do("GET", "/topics/order.none/events/1", "", mine), http.StatusNotFound, "not_found")
	refused(t, n.do("GET", "/topics/none/events/1", "", mine), http.StatusForbidden, "forbidden")
}

func TestABatchWithAForeignTopicIsRefusedWholeUnlessItsSenderIsLenient(t *testing.T) {
	l := withKeys(t, access.Options{})
	all := l.key(t, "all", access.Read)
	mine, _ := l.create(t, access.Spec{Name: "mine", Scopes: access.Scopes()[:1], TopicPrefixes: []string{"my."}})
	n := start(t, l.setup)
	faulty := newEvent("my.a", "")
	batch := []event{newEvent("my.a", "1"), newEvent("other", "1"), newEvent("my.b", "1"), newEvent("other", "2")}
	a := n.do("POST", "/publish", encode(t, batch), mine)
	require.Contains(t, string(refused(t, a, http.StatusForbidden, "forbidden").Detail), `\"other\"`)
	require.Zero(t, as[stats](t, n.do("GET", "/stats", "", all)).Received)

	p := n.publish(append(batch, faulty), mine, "Prefer: handling=lenient")
	require.Equal(t, 2, p.Stored)
	require.Equal(t, 3, *p.Invalid)
	var outcomes []string
	for _, r := range p.Results {
		outcomes = append(outcomes, r.Outcome)
	}
	require.Equal(t, []string{"stored", "invalid", "stored", "invalid", "invalid"}, outcomes)
	require.Equal(t, "topic_forbidden", p.Results[1].Detail[0].Type)
	require.Equal(t, "body.3.topic", p.Results[3].Detail[0].at())
	require.Equal(t, "string_too_short", p.Results[4].Detail[0].Type)
	require.EqualValues(t, 2, as[stats](t, n.do("GET", "/stats", "", all)).Received)
	p = n.publish([]event{newEvent("other", "1")}, mine, "Prefer: handling=lenient")
	require.Zero(t, p.Accepted)
}

func TestARateIsHeldOverHTTP(t *testing.T) {
	l := withKeys(t, access.Options{})
	slow, _ := l.create(t, access.Spec{Name: "slow", Scopes: access.Scopes()[:2], Rate: access.Rate{PerSecond: 0.0005, Burst: 5}})
	other := l.key(t, "other", access.Scopes()...)
	n := start(t, l.setup)
	n.publish(newEvents("a", "1", "2", "3"), slow)
	require.Equal(t, http.StatusOK, n.do("GET", "/topics", "", slow).status, "any other request counts as one")
	refused(t, n.do("POST", "/publish", "[", slow), http.StatusBadRequest, "malformed") // and so does what is none
	for _, path := range []string{"/publish", "/publish/batch"} {
		a := n.do("POST", path, strings.Repeat(" ", 100_000), slow)
		refused(t, a, http.StatusTooManyRequests, "rate_limited")
		require.Equal(t, "2000", a.header.Get("Retry-After"), "computed from what is left")
	}
	require.Equal(t, http.StatusTooManyRequests, n.do("GET", "/stats", "", slow).status)
	require.Equal(t, http.StatusOK, n.do("GET", "/health", "", slow).status)
	n.publish(newEvents("a", "4", "5", "6", "7", "8", "9"), other)
}

// TestAKeyWithItsLimitInFlightLeavesRoomForAnother holds the disk back while
// one key sends all it may.
func TestAKeyWithItsLimitInFlightLeavesRoomForAnother(t *testing.T) {
	l := withKeys(t, access.Options{Limits: access.Limits{InFlightEvents: 10, InFlightBytes: 100_000}})
	greedy, other := l.key(t, "greedy", access.Publish), l.key(t, "other", access.Publish)
	n, gate := startGated(t, l.setup)
	var waiting sync.WaitGroup
	send := func(key, prefix string) {
		waiting.Go(func() {
			a, err := n.try("POST", "/publish", encode(t, newEvents(prefix, numbered("e", 10)...)), key)
			if err != nil || a.status != http.StatusOK {
				t.Errorf("%s: %d %v %s", prefix, a.status, err, a.body)
			}
		})
	}
	send(greedy, "a")
	<-gate.entered
	a := n.do("POST", "/publish", encode(t, newEvent("b", "1")), greedy)
	refused(t, a, http.StatusTooManyRequests, "rate_limited")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	a = n.do("POST", "/publish", strings.Repeat(" ", 100_001)+encode(t, newEvent("c", "1")), other)
	require.Contains(t, string(refused(t, a, http.StatusTooManyRequests, "rate_limited").Detail), "100000 bytes")
	refused(t, n.raw("POST", "/publish", "POST /publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+other+
		"\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk(strings.Repeat(" ", 100_001))+"0\r\n\r\n")[0], http.StatusTooManyRequests, "rate_limited")
	send(other, "d")
	require.Eventually(t, func() bool { return inFlight(n) == 20 }, time.Minute, time.Millisecond, "the other one gets in")
	gate.open()
	waiting.Wait()
	n.publish(newEvents("e", numbered("e", 10)...), greedy)
}

func inFlight(n *node) int {
	s, err := n.system.Stats(n.t.Context())
	if err != nil {
		return -1
	}
	return s.InFlight
}

func TestTurningAwayIsLoggedWithoutTheSecret(t *testing.T) {
	l := withKeys(t, access.Options{})
	key := l.key(t, "k", access.Read)
	log, lines := newSignal("requests were turned away")
	l.http.Logger = log
	n := start(t, l.setup)
	for range 20 {
		n.do("GET", "/stats", "", key+"x")
	}
	line := <-lines
	require.NotContains(t, fmt.Sprint(line), key[len(key)-40:])
	select {
	case <-lines:
		require.Fail(t, "one line is enough for a while")
	default:
	}
}

var _ httpserver.Keys = (*access.Guard)(nil)

// TestAPreflightNeedsNoKey: browsers ask without the key that the page sends.
func TestAPreflightNeedsNoKey(t *testing.T) {
	l := withKeys(t, access.Options{})
	key := l.key(t, "k", access.Read)
	l.http.CORSOrigins = []string{listedOrigin}
	n := start(t, l.setup)
	require.Equal(t, http.StatusNoContent, n.preflight(listedOrigin).status)
	refused(t, n.preflight("https://evil.test"), http.StatusForbidden, "forbidden_origin")
	a := n.do("GET", "/stats", "", "Origin: "+listedOrigin)
	refused(t, a, http.StatusUnauthorized, "unauthorized")
	require.Equal(t, listedOrigin, a.header.Get("Access-Control-Allow-Origin"), "the page reads why")
	require.Equal(t, http.StatusOK, n.do("GET", "/stats", "", "Origin: "+listedOrigin, key).status)
}

// TestABodyThatArrivesBehindTheEndOfItsKeyIsNotTaken has a key revoked while a
// body is being received.
func TestABodyThatArrivesBehindTheEndOfItsKeyIsNotTaken(t *testing.T) {
	l := withKeys(t, access.Options{})
	key, blanks, body := l.key(t, "stolen", access.Publish), strings.Repeat(" ", 100<<10), encode(t, newEvent("a", "late"))
	n := start(t, l.setup)
	conn, err := n.dial()
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n%s", key, len(blanks)+len(body), blanks))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return n.server.InFlightBodies() > 0 }, time.Minute, time.Millisecond)
	in := bufio.NewReader(conn)
	_, err = l.guard.Revoke("stolen")
	require.NoError(t, err)
	status, answer := ask(t, conn, in, body)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, answer, "revoked")
}

// TestAListEndsWithTheKeyOfItsReader has a key revoked while a list is sent.
func TestAListEndsWithTheKeyOfItsReader(t *testing.T) {
	for _, revoked := range []bool{true, false} { // the second is the control
		l := withKeys(t, access.Options{})
		key := l.key(t, "stolen", access.Read)
		list := pages(6, func() error { return nil })
		s := withScript(&scripted{events: func(ctx context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
			if q.After == 2 && revoked {
				if _, err := l.guard.Revoke("stolen"); err != nil {
					return sekali.EventsPage{}, err
				}
			}
			return list(ctx, q)
		}})
		s.http.Keys = l.guard
		_, err := start(t, s).try("GET", "/events", "", key)
		if revoked {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		} else {
			require.NoError(t, err)
		}
	}
}
