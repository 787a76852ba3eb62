package apptest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
	"sekali/internal/testcert"
)

// tlsFiles are a server's certificate and key on disk.
type tlsFiles struct{ cert, key string }

func writeTLSFiles(t testing.TB, dir string, c *testcert.Cert) tlsFiles {
	t.Helper()
	f := tlsFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	require.NoError(t, os.WriteFile(f.cert, c.PEM, 0o644))
	require.NoError(t, os.WriteFile(f.key, c.KeyPEM, 0o600))
	return f
}

func newCert(t testing.TB, names ...string) *testcert.Cert {
	t.Helper()
	return testcert.New(t, time.Now().AddDate(1, 0, 0), names...)
}

// startSecure serves dir over HTTPS and returns a client that trusts c.
func startSecure(t testing.TB, dir string, f tlsFiles, c *testcert.Cert) *server {
	t.Helper()
	p := launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json", "--tls-cert", f.cert, "--tls-key", f.key)
	s := served(t, p)
	require.True(t, strings.HasPrefix(s.url, "https://127.0.0.1:"), s.url)
	s.Client = trustingClient(t, s.url, c)
	return s
}

func trustingClient(t testing.TB, url string, c *testcert.Cert) *client.Client {
	t.Helper()
	trusting, err := client.New(url, client.Options{RequestTimeout: patience, MaxAttempts: 1, RootCAs: c.Roots()})
	require.NoError(t, err)
	t.Cleanup(trusting.Close)
	return trusting
}

func TestServerSpeaksHTTPSToEveryCommand(t *testing.T) {
	c := newCert(t, "127.0.0.1")
	f := writeTLSFiles(t, t.TempDir(), c)
	s := startSecure(t, t.TempDir(), f, c)
	require.Equal(t, sekali.OutcomeStored, s.publish(event("a", "1"))[0].Outcome)
	stranger := trustingClient(t, s.url, newCert(t, "127.0.0.1"))
	require.ErrorContains(t, stranger.Ready(t.Context()), "certificate")

	listen := strings.TrimPrefix(s.url, "https://")
	for name, c := range map[string]struct {
		variables, args []string
		code            int
	}{
		"the health check of a container":               {[]string{"SEKALI_LISTEN=" + listen, "SEKALI_TLS_CERT=" + f.cert}, []string{"healthcheck"}, 0},
		"a health check that does not know of TLS":      {[]string{"SEKALI_LISTEN=" + listen}, []string{"healthcheck"}, 1},
		"a health check by URL":                         {nil, []string{"healthcheck", "--url", s.url, "--ca", f.cert}, 0},
		"a health check that does not trust it":         {nil, []string{"healthcheck", "--url", s.url}, 1},
		"a health check with authorities that are none": {nil, []string{"healthcheck", "--url", s.url, "--ca", f.key}, 2},
		"a load test": {[]string{"SEKALI_CA=" + f.cert}, []string{"loadtest", "stress", "--url", s.url, "--events", "200"}, 0},
		"a load test over connections of its own":       {nil, []string{"loadtest", "overload", "--url", s.url, "--ca", f.cert, "--duration", "300ms", "--multiple", "1", "--batch", "5", "--overload-connections", "4"}, 0},
		"a load test that does not trust it":            {nil, []string{"loadtest", "overload", "--url", s.url, "--duration", "300ms"}, 1},
		"a server with the key of another certificate":  {nil, []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--tls-cert", f.cert, "--tls-key", writeTLSFiles(t, t.TempDir(), newCert(t)).key}, 1},
		"a server with a certificate that is not there": {nil, []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--tls-cert", f.cert + ".none", "--tls-key", f.key}, 1},
		"a server that is given half of what TLS needs": {nil, []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--tls-key", f.key}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := run(t, c.variables, c.args...)
			require.Equal(t, c.code, p.wait(), p.stderr.String())
		})
	}
}

// TestServerTakesOverANewCertificate replaces the files under a running server:
// what fits is used from then on, what does not is logged and left.
func TestServerTakesOverANewCertificate(t *testing.T) {
	first, second := newCert(t, "127.0.0.1"), newCert(t, "127.0.0.1")
	dir := t.TempDir()
	f := writeTLSFiles(t, dir, first)
	s := startSecure(t, t.TempDir(), f, first)
	open := s.Client
	require.NoError(t, open.Ready(t.Context()))

	require.NoError(t, os.WriteFile(f.cert, bytes.Repeat([]byte("x"), 100), 0o600))
	s.signal(syscall.SIGHUP)
	s.logLine("the new certificate cannot be used, the one before stays in use")
	require.NoError(t, trustingClient(t, s.url, first).Ready(t.Context()))

	writeTLSFiles(t, dir, second)
	require.Eventually(t, func() bool { return trustingClient(t, s.url, second).Ready(t.Context()) == nil }, patience, 50*time.Millisecond,
		"the files are looked at without a signal")
	require.Error(t, trustingClient(t, s.url, first).Ready(t.Context()))
	require.NoError(t, open.Ready(t.Context()), "a connection that is open goes on")
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.wait())
}
