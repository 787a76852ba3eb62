package httpserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/httpserver"
)

const listedOrigin = "https://app.example.com"

func browsers() setup {
	return setup{http: httpserver.Options{CORSOrigins: []string{listedOrigin, "http://localhost:3000"}}}
}

func TestOnlyPagesOfOurOwnAndOfListedOriginsUseTheServer(t *testing.T) {
	navigation := []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	shared := start(t, browsers())
	for _, c := range []struct {
		name         string
		header       []string
		reads, posts bool
	}{
		{"no browser at all", nil, true, true},
		{"the API page, which fetches", []string{"Origin: http://sekali.test", "Sec-Fetch-Site: same-origin"}, true, true},
		{"the API page behind a proxy that ends TLS", []string{"Origin: https://sekali.test"}, true, true},
		{"a fetch of our own without an Origin", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"}, true, true},
		{"an address that somebody typed", []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, true, true},
		{"a page of a listed origin", []string{"Origin: " + listedOrigin, "Sec-Fetch-Site: cross-site"}, true, true},
		{"a page of another port that is listed", []string{"Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"}, true, true},
		{"somebody follows a link", navigation, true, false},
		{"a stranger's page", []string{"Origin: https://evil.test"}, false, false},
		{"a page of another port of this name", []string{"Origin: http://sekali.test:3000", "Sec-Fetch-Site: same-site"}, false, false},
		{"a page of another scheme", []string{"Origin: ftp://sekali.test"}, false, false},
		{"a page that hides its origin", []string{"Origin: null"}, false, false},
		{"an origin that begins like a listed one", []string{"Origin: " + listedOrigin + ".evil.test"}, false, false},
		{"an origin that ends like a listed one", []string{"Origin: https://evilapp.example.com"}, false, false},
		{"a listed origin in plain HTTP", []string{"Origin: http://app.example.com"}, false, false},
		{"a picture or script of a stranger's page", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false, false},
		{"a picture of a page of this site", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false, false},
		{"a frame in a stranger's page", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, false, false},
		{"a form of a stranger's page", append([]string{"Origin: https://evil.test"}, navigation...), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := shared.on(t)
			n.requireAsOrigin(c.reads, n.do("GET", "/stats", "", c.header...))
			before := n.stats().Received
			n.requireAsOrigin(c.posts, n.do("POST", "/publish", exampleEvent, c.header...))
			require.Equal(t, c.posts, n.stats().Received > before, "nothing of a refused request is counted")
		})
	}
}

func (n *node) requireAsOrigin(allowed bool, a answer) {
	n.t.Helper()
	if allowed {
		require.Equal(n.t, http.StatusOK, a.status)
		return
	}
	refused(n.t, a, http.StatusForbidden, "forbidden_origin")
	require.Empty(n.t, a.header.Get("Access-Control-Allow-Origin"))
}

// TestSimpleRequestsCannotPublish: these are the content types that browsers
// send to strangers without asking first. Even without the headers that tell
// where they come from only JSON is taken, and a body without any type, which
// browsers never send without an Origin.
func TestSimpleRequestsCannotPublish(t *testing.T) {
	n := start(t, setup{})
	for _, contentType := range []string{"text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		refused(t, n.do("POST", "/publish", exampleEvent, "Content-Type: "+contentType), http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	refused(t, n.do("POST", "/publish", exampleEvent, "Origin: https://evil.test"), http.StatusForbidden, "forbidden_origin")
	n.requireUntouched()
}

func TestAListedOriginMayReadAnswersAndErrors(t *testing.T) {
	n := start(t, browsers())
	for path, status := range map[string]int{"/stats": http.StatusOK, "/nothing": http.StatusNotFound} {
		a := n.do("GET", path, "", "Origin: "+listedOrigin)
		require.Equal(t, status, a.status)
		require.Equal(t, listedOrigin, a.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "*", a.header.Get("Access-Control-Expose-Headers"))
		require.Equal(t, "Origin", a.header.Get("Vary"))
		require.Empty(t, a.header.Get("Access-Control-Allow-Credentials"))
	}
	a := n.do("GET", "/stats", "")
	require.Equal(t, "Origin", a.header.Get("Vary"))
	require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
}

// undescribed sends bytes over a connection of its own and reads the answers,
// for what the API's description does not have.
func (n *node) undescribed(request string) []answer {
	n.t.Helper()
	conn, err := n.dial()
	require.NoError(n.t, err)
	defer func() { _ = conn.Close() }() // the server may have closed it
	return readAll(n.t, conn, request)
}

// preflight sends a browser's question.
func (n *node) preflight(origin string) answer {
	n.t.Helper()
	request := "OPTIONS /publish HTTP/1.1\r\nHost: sekali.test\r\nOrigin: " + origin + "\r\nConnection: close\r\n" +
		"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
	answers := n.undescribed(request)
	require.Len(n.t, answers, 1)
	return answers[0]
}

func TestPreflightsAreAnsweredForListedOriginsOnly(t *testing.T) {
	n := start(t, browsers())
	a := n.preflight(listedOrigin)
	require.Equal(t, http.StatusNoContent, a.status)
	require.Empty(t, a.body)
	require.Equal(t, listedOrigin, a.header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, a.header.Get("Access-Control-Allow-Methods"), "POST")
	require.Equal(t, "*, Authorization", a.header.Get("Access-Control-Allow-Headers"))
	require.NotEmpty(t, a.header.Get("X-Request-Id"))
	question := "OPTIONS /publish HTTP/1.1\r\nHost: sekali.test\r\nOrigin: " + listedOrigin + "\r\nAccess-Control-Request-Method: POST\r\n"
	require.Len(t, n.undescribed(question+"\r\n"+question+"Connection: close\r\n\r\n"), 2, "the connection stays")
	body := strings.Repeat(" ", 100_000)
	require.Len(t, n.undescribed(question+"Content-Length: 100000\r\n\r\n"+body+question+"\r\n"), 1, "what should not be there is not read")
	refused(t, n.preflight("https://evil.test"), http.StatusForbidden, "forbidden_origin")
	refused(t, start(t, setup{}).preflight(listedOrigin), http.StatusForbidden, "forbidden_origin")
	refused(t, n.preflight("http://sekali.test"), http.StatusMethodNotAllowed, "method_not_allowed") // our own page does not ask
}

func TestWhatListsMayHold(t *testing.T) {
	for _, good := range []string{"*", "events.example.com", "*.example.com", "sekali", "10.1.2.3"} {
		require.NoError(t, httpserver.ValidHost(good))
	}
	for _, bad := range []string{"", "*.", "*.*", "a*", "**", "http://a", "a:80", "a/b", "[::1]", ".a", "*..a"} {
		require.Error(t, httpserver.ValidHost(bad), bad)
	}
	for _, good := range []string{"https://app.example.com", "http://localhost:3000", "http://[::1]:8080"} {
		require.NoError(t, httpserver.ValidOrigin(good))
	}
	for _, bad := range []string{"", "*", "null", "app.example.com", "https://", "https://a/", "https://A.example", "ftp://a", "https://u@a", "https://a?b"} {
		require.Error(t, httpserver.ValidOrigin(bad), bad)
	}
}

// TestEveryAnswerHasTheSecurityHeaders tries each way in which an answer can
// come about.
func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	n := start(t, setup{http: httpserver.Options{MaxConnections: 2}})
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" }
	for name, request := range map[string]string{
		"data":                        get("/events"),
		"no such path":                get("/nothing"),
		"no method":                   "PUT /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"the API page":                get("/docs"),
		"another Host":                "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"another origin":              "GET / HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.test\r\n\r\n",
		"no HTTP":                     "hello\r\n\r\n",
		"headers too large":           "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 9000) + "\r\n\r\n",
		"a length twice":              "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
		"an expectation that is none": "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			answers := n.on(t).undescribed(request)
			require.Len(t, answers, 1)
			requireSecurityHeaders(t, answers[0])
		})
	}
	t.Run("no connection is free", func(t *testing.T) {
		for range 2 {
			conn, err := n.dial()
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close()) }()
		}
		var answers []answer
		require.Eventually(t, func() bool { // the two are counted when they are accepted
			answers = n.on(t).undescribed(get("/health"))
			return len(answers) == 1 && answers[0].status == http.StatusServiceUnavailable
		}, time.Minute, time.Millisecond)
		requireSecurityHeaders(t, answers[0])
	})
}

func requireSecurityHeaders(t *testing.T, a answer) {
	t.Helper()
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		require.Equal(t, []string{value}, a.header.Values(name), name)
	}
	require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Contains(t, a.header.Get("Permissions-Policy"), "camera=()")
	require.NotEmpty(t, a.header.Get("X-Request-Id"))
}
