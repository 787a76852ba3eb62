package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest"
)

// loadtestCommand runs a command line below 'sekali loadtest' and returns its
// standard output and exit code.
func loadtestCommand(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var stdout bytes.Buffer
	cmd := newLoadtestCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(t.Context())
	if err == nil {
		return stdout.String(), exitDone
	}
	t.Logf("%v: %v", args, err)
	if exit, ok := errors.AsType[*exitError](err); ok {
		return stdout.String(), exit.code
	}
	return stdout.String(), exitUsage // as run does
}

// serveForLoadtest runs 'sekali serve' in this process and returns its URL.
func serveForLoadtest(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log, stderr := io.Pipe()
	cmd := newServeCommand()
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--log-format", "json"})
	cmd.SetErr(stderr)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		ended <- errors.Join(err, stderr.CloseWithError(io.EOF))
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	lines := json.NewDecoder(log)
	for {
		var line struct{ Msg, URL string }
		require.NoError(t, lines.Decode(&line), "the server's log ended before it served")
		if line.Msg == "serving" {
			go func() { _, _ = io.Copy(io.Discard, io.MultiReader(lines.Buffered(), log)) }() // Keeps the log flowing.
			return line.URL
		}
	}
}

func TestLoadtestRunsAgainstTheRealServerAndItsLedgerVerifies(t *testing.T) {
	url := serveForLoadtest(t)
	ledger, page := filepath.Join(t.TempDir(), "acked.tsv"), filepath.Join(t.TempDir(), "report.html")
	out, code := loadtestCommand(t, "stress", "--url", url, "--events", "2000", "--duplicates", "60%", "--connections", "4",
		"--batch", "50", "--seed", "9", "--ledger", ledger, "--report", page, "--output", "json")
	require.Equal(t, exitDone, code, out)
	var report loadtest.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.True(t, report.OK())
	require.EqualValues(t, 2000, report.Counts.Acknowledged)
	require.EqualValues(t, 800, report.Counts.Stored)
	require.EqualValues(t, 1200, report.Counts.Duplicates)
	require.EqualValues(t, 9, report.Options.Seed)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), report.RunID)

	out, code = loadtestCommand(t, "verify", "--url", url, "--ledger", ledger)
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "800 acknowledged ids in 10 topics")

	lines, err := os.ReadFile(ledger)
	require.NoError(t, err)
	never := strings.SplitN(string(lines), "\t", 2)[0] + "\tnever-sent\t1\n"
	require.NoError(t, os.WriteFile(ledger, append(lines, never...), 0o600))
	out, code = loadtestCommand(t, "verify", "--url", url, "--ledger", ledger, "--output", "json")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "never-sent was acknowledged with seq 1 and is not there")
}

func TestLoadtestRefusesWrongUsageBeforeItStartsAnything(t *testing.T) {
	for name, args := range map[string][]string{
		"a share above 100 %":        {"stress", "--duplicates", "150%"},
		"a share that is no number":  {"stress", "--duplicates", "half"},
		"no events":                  {"stress", "--events", "-1"},
		"an unknown format":          {"stress", "--output", "xml"},
		"a URL without a scheme":     {"stress", "--url", "127.0.0.1:8080"},
		"data for a foreign server":  {"stress", "--url", "http://127.0.0.1:1", "--keep-data", "x"},
		"an argument":                {"stress", "fast"},
		"an unknown profile":         {"soak"},
		"verify without a ledger":    {"verify", "--url", "http://127.0.0.1:1"},
		"verify without a URL":       {"verify", "--ledger", "x"},
		"verify with a wrong format": {"verify", "--url", "http://127.0.0.1:1", "--ledger", "x", "--output", "xml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, code := loadtestCommand(t, args...)
			require.Equal(t, exitUsage, code)
		})
	}
}

func TestLoadtestTakesAZeroForWhatItIs(t *testing.T) {
	for _, flag := range []string{"--events", "--connections", "--batch", "--topics", "--payload-bytes", "--timeout"} {
		_, code := loadtestCommand(t, "stress", "--url", "http://127.0.0.1:1", flag, "0")
		require.Equal(t, exitUsage, code, flag)
	}
}

func TestLoadtestVerifyFailsOnAnEmptyLedger(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ledger")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, code := loadtestCommand(t, "verify", "--url", "http://127.0.0.1:1", "--ledger", empty)
	require.Equal(t, exitFailed, code, "nothing was checked, so nothing is sound")
}

func TestLoadtestVerifyFailsWithoutItsLedger(t *testing.T) {
	_, code := loadtestCommand(t, "verify", "--url", "http://127.0.0.1:1", "--ledger", filepath.Join(t.TempDir(), "absent"))
	require.Equal(t, exitFailed, code)
}

func TestAShareIsANumberOrAPercentage(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "0.5": 0.5, "1": 1, "50%": 0.5, "12.5 %": 0.125, "0%": 0} {
		var s shareValue
		require.NoError(t, s.Set(text))
		require.InDelta(t, want, float64(s), 1e-12)
	}
	s := shareValue(0.5)
	require.Equal(t, "50%", s.String())
	for _, text := range []string{"", "%", "-1", "1.1", "101%", "NaN", "x"} {
		require.Error(t, s.Set(text), text)
	}
}
