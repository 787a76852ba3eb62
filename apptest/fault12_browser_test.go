package apptest_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

//go:embed testdata/stranger.html
var strangersPage string

// stranger is the web server of somebody who wants to reach a Sekali through
// the browser of whoever looks at his page. To the browser it is
// http://evil.test:port.
type stranger struct {
	*httptest.Server
	reports chan map[string]string
}

// newStranger serves a page that attacks target; with "" it attacks its own
// origin, where everything but the page comes from behind: this is what the
// browser and the attacked server see of a DNS rebinding, the same name and
// port and suddenly another machine.
func newStranger(t *testing.T, target string, behind http.Handler) *stranger {
	t.Helper()
	s := &stranger{reports: make(chan map[string]string, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, strings.ReplaceAll(strangersPage, "TARGET", target)) // the browser may have ended
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var report map[string]string
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			t.Error(err)
		}
		s.reports <- report
	})
	mux.Handle("/", behind)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// forward passes requests on to a server as they are, but for what change takes
// away.
func forward(t *testing.T, to string, change func(h http.Header)) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		change(r.Out.Header)
	}}
}

// look opens the stranger's page in a browser and returns what the page
// reports of its attempts.
func (s *stranger) look(t *testing.T) map[string]string {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		prove.CannotRun(t, 12, "chromium", "it is not installed; apptest/install.sh does")
	}
	page := strings.Replace(s.URL, "127.0.0.1", "evil.test", 1) + "/page"
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--host-resolver-rules=MAP evil.test 127.0.0.1", "--user-data-dir="+t.TempDir(), page)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, or the report does not come
		close(ended)
	}()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the browser and its children; they may have ended
		<-ended
	}()
	select {
	case report := <-s.reports:
		return report
	case <-ended:
		require.FailNow(t, "the browser ended without a report", said.String())
		return nil
	}
}

// requireUnread checks that no attempt brought anything of the server's.
func requireUnread(t *testing.T, report map[string]string) {
	t.Helper()
	for name, got := range report {
		require.NotContains(t, got, "unique_processed", name)
		require.NotContains(t, got, "secret-event", name)
		require.NotContains(t, got, `"stored"`, name)
	}
}

// attacked starts a server with one event that nobody else should see.
func attacked(t *testing.T, args ...string) *server {
	t.Helper()
	s := startServer(t, t.TempDir(), args...)
	s.publish(event("private", "secret-event"))
	return s
}

// TestFault12BrowserCannotReachLoopback: a stranger's page in a browser of this
// machine can neither publish to a server on its loopback nor read from it.
func TestFault12BrowserCannotReachLoopback(t *testing.T) {
	for name, report := range map[string]func(s *server) map[string]string{
		"from another origin": func(s *server) map[string]string {
			return newStranger(t, s.url, http.NotFoundHandler()).look(t)
		},
		"after a rebinding of its name": func(s *server) map[string]string {
			return newStranger(t, "", forward(t, s.url, func(http.Header) {})).look(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := attacked(t, "--log-level", "debug")
			got := report(s)
			t.Logf("the page says: %q", got)
			require.Regexp(t, "forbidden_origin|misdirected", s.stderr.String(), "the requests arrived")
			requireUnread(t, got)
			require.Len(t, got, 11)
			require.EqualValues(t, 1, s.stats().Received, "nothing but our own event")
			prove.Report(t, prove.Result{Row: 12, Figures: []prove.Figure{{Name: "attempts", Value: float64(len(got))}, {Name: "reached", Value: 0}}})
		})
	}
}

// TestFault12ControlWithoutTheChecksThePageGetsIn: the same page reaches a server that
// takes any Host, and one that does not see where requests come from.
func TestFault12ControlWithoutTheChecksThePageGetsIn(t *testing.T) {
	t.Run("after a rebinding, with any Host", func(t *testing.T) {
		s := attacked(t, "--allowed-hosts", "*")
		got := newStranger(t, "", forward(t, s.url, func(http.Header) {})).look(t)
		require.Contains(t, got["reading the counts"], "unique_processed")
		require.Contains(t, got["reading the events"], "secret-event")
		require.Contains(t, got["a post of JSON"], `"stored":1`)
		require.Greater(t, s.stats().Received, int64(1))
	})
	t.Run("from another origin, which is not told", func(t *testing.T) {
		s := attacked(t)
		blind := httptest.NewServer(forward(t, s.url, func(h http.Header) {
			for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
				h.Del(name)
			}
		}))
		defer blind.Close()
		got := newStranger(t, blind.URL, http.NotFoundHandler()).look(t)
		stored := s.stats().Received - 1
		prove.Report(t, prove.Result{Row: 12, Control: true, Figures: []prove.Figure{{Name: "attempts", Value: float64(len(got))}, {Name: "reached", Value: float64(stored)}}})
		require.Positive(t, stored, "a post without a content type is stored unread: %q", got)
	})
}
