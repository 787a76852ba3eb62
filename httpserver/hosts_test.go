package httpserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/access"
	"sekali/httpserver"
)

// getAs asks for /version with this Host.
func (n *node) getAs(host string) answer {
	n.t.Helper()
	answers := n.raw("GET", "/version", "GET /version HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	require.Len(n.t, answers, 1)
	return answers[0]
}

func TestARequestMustBeAddressedToAKnownName(t *testing.T) {
	options := httpserver.Options{AllowedHosts: []string{"Events.example.com", "*.example.org"}}
	loopback, reachable := start(t, setup{sockets: true, http: options}), start(t, setup{http: options})
	for _, c := range []struct {
		name, host           string
		onLoopback, publicly bool
	}{
		{"localhost", "localhost:8080", true, true},
		{"localhost without a port", "localhost", true, true},
		{"localhost in capitals, with the dot of the root", "LocalHost.:1", true, true},
		{"an IPv4 address of this machine", "127.0.0.1:8080", true, true},
		{"another one", "127.9.9.9", true, true},
		{"the IPv6 address of this machine", "[::1]:8080", true, true},
		{"an IPv6 address without a port", "[::1]", true, true},
		{"an IPv4 address in IPv6", "[::ffff:127.0.0.1]:8080", true, true},
		{"an address of the network, as a kubelet sends it", "10.1.2.3:8080", false, true},
		{"an IPv6 address of the network", "[2001:db8::1]:8080", false, true},
		{"the address of no machine", "0.0.0.0:8080", false, true},
		{"a service name, as in a compose file", "sekali:8080", false, true},
		{"a name of a cluster", "sekali.default.svc.cluster.local", false, true},
		{"a name of an internal network", "events.internal", false, true},
		{"a listed name", "events.example.com:8080", true, true},
		{"a listed name in capitals", "EVENTS.EXAMPLE.COM.", true, true},
		{"a name below a listed one", "a.b.example.org", true, true},
		{"the listed domain itself", "example.org", false, false},
		{"a name that ends like a listed one", "evilexample.org", false, false},
		{"a name above a listed one", "example.com", false, false},
		{"a stranger's name", "evil.test:8080", false, false},
		{"a stranger's name that begins like ours", "localhost.evil.test", false, false},
		{"a stranger's name that looks like an address", "127.0.0.1.evil.test", false, false},
		{"a name that resolves to this machine", "localtest.me", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			loopback.on(t).requireKnownAs(c.host, c.onLoopback)
			reachable.on(t).requireKnownAs(c.host, c.publicly)
		})
	}
}

func (n *node) requireKnownAs(host string, known bool) {
	n.t.Helper()
	a := n.getAs(host)
	if known {
		require.Equal(n.t, http.StatusOK, a.status, "on a socket: %v", n.setup.sockets)
		return
	}
	refused(n.t, a, http.StatusMisdirectedRequest, "misdirected")
}

func TestTheHostInTheTargetCountsToo(t *testing.T) {
	n := start(t, setup{sockets: true})
	ask := func(target string) answer {
		return n.raw("GET", "/version", "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0]
	}
	require.Equal(t, http.StatusOK, ask("http://localhost/version").status)
	refused(t, ask("http://evil.test/version"), http.StatusMisdirectedRequest, "misdirected")
}

func TestWhoSendsNoHostIsNoBrowser(t *testing.T) {
	n := start(t, setup{sockets: true})
	a := n.raw("GET", "/version", "GET /version HTTP/1.0\r\n\r\n")
	require.Equal(t, http.StatusOK, a[0].status)
}

// TestAMisdirectedRequestIsNotReadAndLeavesNoTrace sends the first part of a
// body, which fasthttp waits for, and never the rest.
func TestAMisdirectedRequestIsNotReadAndLeavesNoTrace(t *testing.T) {
	n := start(t, setup{sockets: true})
	a := n.raw("POST", "/publish", "POST /publish HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat(" ", 10_000))
	refused(t, a[0], http.StatusMisdirectedRequest, "misdirected")
	require.Len(t, a, 1, "the connection is closed: what follows is still this body")
	require.Contains(t, string(a[0].body), "--allowed-hosts")
	n.requireUntouched()
}

func TestAnyNameWillDoWhenTheOperatorSaysSo(t *testing.T) {
	n := start(t, setup{sockets: true, http: httpserver.Options{AllowedHosts: []string{"*"}}})
	require.Equal(t, http.StatusOK, n.getAs("evil.test").status)
}

// TestWithKeysNamesMatterOnlyWhenListed: a stranger's page has no key, whatever
// it is called; a proxy may pass on any name.
func TestWithKeysNamesMatterOnlyWhenListed(t *testing.T) {
	l := withKeys(t, access.Options{})
	l.key(t, "k", access.Read)
	l.http.AllowedHosts = []string{}
	n := start(t, l.setup)
	refused(t, n.getAs("events.example.com"), http.StatusUnauthorized, "unauthorized")
	l.http.AllowedHosts = []string{"other.example.com"}
	n = start(t, l.setup)
	refused(t, n.getAs("events.example.com"), http.StatusMisdirectedRequest, "misdirected")
}
