package httpserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/httpserver"
	"sekali/internal/testcert"
)

// trusting returns a client's settings.
func trusting(c *testcert.Cert) *tls.Config {
	return &tls.Config{RootCAs: c.Roots(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// secure runs a node that speaks HTTPS, on which plain still dials TCP.
func secure(t testing.TB, o httpserver.Options) (n *node, c *testcert.Cert, plain func() (net.Conn, error)) {
	t.Helper()
	c = testcert.New(t, time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC), "localhost")
	o.Certificate, o.AllowedHosts = c, []string{"sekali.test"}
	n = start(t, setup{sockets: true, http: o})
	plain = n.dial
	n.dial = func() (net.Conn, error) { return dialTLS(plain, trusting(c)) }
	return n, c, plain
}

func dialTLS(plain func() (net.Conn, error), config *tls.Config) (net.Conn, error) {
	raw, err := plain()
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		_ = raw.Close() // the handshake's error tells more
		return nil, err
	}
	return conn, nil
}

func TestTheWholeAPIWorksOverTLS(t *testing.T) {
	n, _, _ := secure(t, httpserver.Options{})
	require.Equal(t, 1, n.publishBody(exampleEvent).Stored)
	require.Len(t, n.events(""), 1)
	a := n.do("GET", "/stats", "")
	require.Contains(t, string(a.body), `"certificate_expires_at":"2099-01-02T03:04:05.000000Z"`)
	require.Equal(t, "max-age=2592000", a.header.Get("Strict-Transport-Security"))
	require.Empty(t, start(t, setup{}).do("GET", "/stats", "").header.Get("Strict-Transport-Security"), "not over plain HTTP")
}

// TestAChunkedBodyThatEndsEarlyIsRefusedOverTLS: the end of the connection must
// be seen through TLS, too.
func TestAChunkedBodyThatEndsEarlyIsRefusedOverTLS(t *testing.T) {
	n, _, _ := secure(t, httpserver.Options{})
	conn, err := n.dial()
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: sekali.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n")
	require.NoError(t, err)
	require.NoError(t, conn.(*tls.Conn).CloseWrite())
	answers := readAll(t, conn, "")
	require.Len(t, answers, 1)
	refused(t, answers[0], http.StatusBadRequest, "malformed")
	require.NoError(t, conn.Close())
	n.requireUntouched()
}

func TestWhatIsSpokenOverTLS(t *testing.T) {
	_, c, plain := secure(t, httpserver.Options{})
	connect := func(change func(*tls.Config)) (tls.ConnectionState, error) {
		config := trusting(c)
		change(config)
		conn, err := dialTLS(plain, config)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer func() { require.NoError(t, conn.Close()) }()
		return conn.(*tls.Conn).ConnectionState(), nil
	}
	state, err := connect(func(*tls.Config) {})
	require.NoError(t, err)
	require.EqualValues(t, tls.VersionTLS13, state.Version)
	state, err = connect(func(o *tls.Config) { o.MaxVersion = tls.VersionTLS12 })
	require.NoError(t, err)
	require.EqualValues(t, tls.VersionTLS12, state.Version)
	state, err = connect(func(o *tls.Config) { o.NextProtos = []string{"h2", "http/1.1"} })
	require.NoError(t, err)
	require.Equal(t, "http/1.1", state.NegotiatedProtocol)

	_, err = connect(func(o *tls.Config) { o.MinVersion, o.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	require.ErrorContains(t, err, "protocol version")
	_, err = connect(func(o *tls.Config) {
		o.MaxVersion, o.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	})
	require.ErrorContains(t, err, "handshake failure")
	_, err = connect(func(o *tls.Config) { o.NextProtos = []string{"h2"} })
	require.ErrorContains(t, err, "no application protocol")
	_, err = connect(func(o *tls.Config) { o.RootCAs = x509.NewCertPool() })
	require.ErrorContains(t, err, "unknown authority")
}

func TestPlainHTTPToATLSPortIsToldSo(t *testing.T) {
	n, _, plain := secure(t, httpserver.Options{})
	for _, request := range []string{
		"GET /stats HTTP/1.1\r\nHost: sekali.test\r\n\r\n",
		"POST /publish HTTP/1.1\r\nHost: sekali.test\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20_000),
	} {
		conn, err := plain()
		require.NoError(t, err)
		answers := readAll(t, conn, request)
		require.NoError(t, conn.Close())
		require.Len(t, answers, 1)
		refused(t, answers[0], http.StatusBadRequest, "malformed")
		require.Contains(t, string(answers[0].body), "https://")
		requireSecurityHeaders(t, answers[0])
	}
	n.requireUntouched()
}

// TestASlowHandshakeHoldsUpNobodyAndEnds leaves connections without a
// handshake: others are served meanwhile, and the server ends the silent ones.
func TestASlowHandshakeHoldsUpNobodyAndEnds(t *testing.T) {
	n, _, plain := secure(t, httpserver.Options{ReadTimeout: time.Second})
	var silent []net.Conn
	for range 20 {
		conn, err := plain()
		require.NoError(t, err)
		defer func() { _ = conn.Close() }() // the server has closed it
		silent = append(silent, conn)
	}
	require.Equal(t, http.StatusOK, n.do("GET", "/health", "").status)
	for _, conn := range silent {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err := io.Copy(io.Discard, conn)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server does not end it")
	}
}

func TestBeyondTheLimitTLSConnectionsAreClosed(t *testing.T) {
	n, _, plain := secure(t, httpserver.Options{MaxConnections: 1})
	first, err := n.dial()
	require.NoError(t, err)
	conn, err := plain()
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	got, _ := io.ReadAll(conn) // the end, or a reset: nobody answers in plain text here
	require.Empty(t, got)
	require.NoError(t, conn.Close())
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { _, err := n.try("GET", "/health", ""); return err == nil }, time.Minute, time.Millisecond, "there is room again")
}
