package loadtest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"sekali/loadtest"
)

func TestTheTextSaysWhatMattersIn80Columns(t *testing.T) {
	_, url := newFakeServer(t)
	o := small(url)
	o.RunID = "abcd"
	var text bytes.Buffer
	require.NoError(t, mustRun(t, o).WriteText(&text))
	for _, want := range []string{
		"Load test stress, run abcd, seed 7",
		"600 events, 50 % of them repeats, 3 topics",
		"4 connections, batches of 20, payloads of 150 bytes",
		"sekali fake at " + url,
		"HTTP 200: 30   (0 retries)",
		"events/s", "p99.9",
		"  all                    600            600            600\n",
		"  stored                 300            300            300\n",
		"  duplicates             300            300            300\n",
		"✓ read back     300 events in 3 topics",
		"OK: everything matches",
	} {
		require.Contains(t, text.String(), want)
	}
	for line := range strings.Lines(text.String()) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
	}
}

func TestTheTextOfAFailedRunSaysSo(t *testing.T) {
	f, url := newFakeServer(t)
	f.list = func(all []storedEvent) []storedEvent { return all[100:] }
	f.before = func(n int) int {
		if n > 20 {
			return http.StatusForbidden
		}
		return 0
	}
	var text bytes.Buffer
	require.NoError(t, mustRun(t, small(url)).WriteText(&text))
	require.Contains(t, text.String(), "400 acknowledged, 0 unknown, ")
	require.Contains(t, text.String(), "✗ read back")
	require.Contains(t, text.String(), "is not there")
	require.Contains(t, text.String(), " more\n")
	require.Contains(t, text.String(), "FAILED: the run ended early: request ")
}

func TestTheReportRoundTripsAsJSON(t *testing.T) {
	_, url := newFakeServer(t)
	r := mustRun(t, small(url))
	encoded, err := json.Marshal(r)
	require.NoError(t, err)
	var back loadtest.Report
	require.NoError(t, json.Unmarshal(encoded, &back))
	require.Equal(t, r.Counts, back.Counts)
	require.Equal(t, r.Histogram, back.Histogram)
	require.Contains(t, string(encoded), `"p99_9"`)
}

func TestTheHTMLReportNeedsNothingElse(t *testing.T) {
	f, url := newFakeServer(t)
	f.list = func(all []storedEvent) []storedEvent {
		all[0].Source = "</script><script>alert(1)</script>"
		return all
	}
	r := mustRun(t, small(url))
	r.Server = "</script><b>"
	var page bytes.Buffer
	require.NoError(t, r.WriteHTML(&page))
	html := page.String()
	require.Contains(t, html, "uPlot")
	require.Contains(t, html, "Permission is hereby granted")
	require.Contains(t, html, `"events_per_second":`)
	require.NotContains(t, html, "</script><b>")
	require.NotContains(t, html, "<script>alert")
	require.NotContains(t, html, "ZgotmplZ", "the template refused a value")
	for _, outside := range []string{"src=", "<link", "@import", "url("} {
		require.NotContains(t, html, outside)
	}
}

func TestProgressLeavesNothingBehind(t *testing.T) {
	_, url := newFakeServer(t)
	for _, terminal := range []bool{false, true} {
		var shown bytes.Buffer
		o := small(url)
		o.Progress, o.Terminal = &shown, terminal
		require.True(t, mustRun(t, o).OK())
		last := shown.String()[strings.LastIndexByte(shown.String(), '\r')+1:]
		require.Empty(t, strings.TrimSpace(last), "a bar is wiped at the end, and lines are only for long runs")
	}
}
