package report_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/measure"
	"sekali/loadtest/peers/report"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// result makes a run in which everything follows from the rate.
func result(peer, family string, size, round int, rate float64) report.Result {
	seconds := 1_000_000 / rate
	server := measure.Usage{CPUSeconds: seconds, PeakBytes: int64(rate * 2000)}
	return report.Result{
		Peer: peer, Family: family, Label: strings.ToUpper(peer), Version: "1.2.3", Round: round,
		Settings: []string{"fsync on"}, Connections: 4, RequestEvents: size,
		Sent: 1_000_000, Stored: 900_000, Duplicates: 100_000, Seconds: seconds,
		Latency: measure.Latency{P50: seconds / 4, P99: seconds, P999: 2 * seconds, Max: 3 * seconds},
		Series:  []measure.Point{{Events: 500_000, Seconds: seconds / 3}, {Events: 1_000_000, Seconds: seconds}},
		Server:  server, DiskBytes: 270_000_000, RestartSeconds: 0.25,
	}
}

func comparison(rounds int) *report.Set {
	s := &report.Set{
		Machine: measure.Machine{CPU: "Fast & Co", Cores: 2, MemoryGiB: 24, OS: "Debian", Kernel: "6.1", FileSystem: "ext4", Go: "go1.26"},
		Commit:  "abc123", Seed: 1, Events: 1_000_000, EventBytes: 265, Topics: 10, Repeats: 0.1, Nearby: 1000,
	}
	s.Trials = []report.Trial{{Peer: "sekali", Rates: []report.TrialRate{{4, 90_000}, {8, 70_000}}}}
	for round := 1; round <= rounds; round++ {
		drift := 1000 * float64(round)
		plain := result("plain", "plain", 5000, round, 40_000+drift)
		plain.RestartSeconds = 0
		quick := result("quick", "quick", 1, round, 130_000+drift)
		quick.Unsafe = "synced now and then"
		s.Results = append(s.Results,
			result("sekali", "sekali", 100, round, 100_000+drift),
			result("wide", "db", 100, round, 102_000-drift), result("long", "db", 5000, round, 50_000+drift),
			quick, plain)
	}
	return s
}

func markdown(comparison, growth *report.Set) string {
	folder := report.Folder{Comparison: comparison, Growth: growth}
	return folder.Markdown("benchmarks/")
}

func TestTheReportIsAsItWas(t *testing.T) {
	growth := comparison(1)
	growth.Growth = true
	folder := report.Folder{Comparison: comparison(3), Growth: growth}
	golden(t, "report.md", folder.Markdown("benchmarks/"))
	for name, text := range folder.Charts() {
		golden(t, name, text)
	}
}

func TestTheChartsAreWellFormed(t *testing.T) {
	for name, text := range (&report.Folder{Comparison: comparison(3), Growth: comparison(1)}).Charts() {
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
		}
	}
}

func TestTheMedianIsOfAllRunsOfAPeer(t *testing.T) {
	rows := comparison(3).Rows()
	require.Equal(t, []string{"quick", "sekali", "wide", "long", "plain"},
		[]string{rows[0].Peer, rows[1].Peer, rows[2].Peer, rows[3].Peer, rows[4].Peer})
	require.Equal(t, 3, rows[0].Runs)
	require.Contains(t, markdown(comparison(3), nil), "| **SEKALI** | 100 | 102,000 (101,000 to 103,000) |")
	require.Contains(t, markdown(comparison(4), nil), "| **SEKALI** | 100 | 102,500 (101,000 to 104,000) |", "of four runs it is between the middle ones")
}

func TestOneRunHasNoSpread(t *testing.T) {
	text := markdown(comparison(1), nil)
	require.Contains(t, text, "| **SEKALI** | 100 | 101,000 |")
	require.NotContains(t, text, "overlap")
}

func TestEveryColumnWeLoseIsNamed(t *testing.T) {
	text := markdown(comparison(3), nil)
	require.Contains(t, text, "- **events/s** (Sekali 102,000): QUICK 132,000 (synced now and then).")
	require.Contains(t, text, "- **p99** (Sekali 9.80 ms): QUICK 7.58 ms (for 1 event, ours for 100 events; synced now and then).")
	require.Contains(t, text, "- **peak memory** (Sekali 195 MiB): WIDE 191 MiB (their runs and ours overlap); LONG 99 MiB; PLAIN 80 MiB.")
	require.NotContains(t, text, "- **disk", "equal is not lost")
}

func TestTheTrialThatDecidedTheConnectionsIsToldOf(t *testing.T) {
	s := comparison(1)
	require.Equal(t, 4, s.Trials[0].Best())
	require.Contains(t, markdown(s, nil), "4 connections (the best in a short trial before, 4: 90,000/s, 8: 70,000/s); 100 events a request")
}

func TestNothingLostIsSaid(t *testing.T) {
	s := comparison(1)
	s.Results = s.Results[:1]
	require.Contains(t, markdown(s, nil), "In none of these columns is another one better.")
}

func TestARunWhoseTimeWasUpIsMarked(t *testing.T) {
	s := comparison(2)
	s.Results[0].TimedOut, s.Results[0].Sent = true, 400_000
	text := markdown(s, nil)
	require.Contains(t, text, "| **SEKALI** (time ran out) |")
	require.Contains(t, text, "its time was up after 400,000 of the events")
}

func TestTheReportIsPutBetweenTheMarksOfThePage(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	page := filepath.Join(docs, "speed.md")
	require.NoError(t, comparison(1).Write(filepath.Join(dir, report.RawFile)))
	require.NoError(t, os.WriteFile(page, []byte("above\n<!-- peers:begin -->\nold\n<!-- peers:end -->\nbelow\n"), 0o600))
	for range 2 {
		require.NoError(t, report.Publish(dir, page))
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Equal(t, "above\n<!-- peers:begin -->\n\n"+strings.ReplaceAll(markdown(comparison(1), nil), "benchmarks/", "speed/")+"\n<!-- peers:end -->\nbelow\n", string(text))
	}
	for _, name := range []string{report.RawFile, report.ChartFile} {
		require.FileExists(t, filepath.Join(docs, "speed", name))
	}
}

func TestAGrowthRunIsAddedToTheComparisonOfThePage(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	page := filepath.Join(docs, "benchmarks.md")
	require.NoError(t, os.WriteFile(page, []byte("<!-- peers:begin --><!-- peers:end -->"), 0o600))
	require.NoError(t, comparison(1).Write(filepath.Join(dir, report.RawFile)))
	require.NoError(t, report.Publish(dir, page))
	require.NoError(t, os.Remove(filepath.Join(dir, report.RawFile)))
	require.NoError(t, comparison(1).Write(filepath.Join(dir, report.GrowthRawFile)))
	require.NoError(t, report.Publish(dir, page))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), markdown(comparison(1), comparison(1)))
}

func TestAPageWithoutMarksIsLeftAlone(t *testing.T) {
	for _, page := range []string{"", "<!-- peers:begin -->", "<!-- peers:end --><!-- peers:begin -->"} {
		_, err := report.Insert(page, "x")
		require.ErrorContains(t, err, "no place for the report")
	}
}

func TestADirectoryWithoutResultsIsAnError(t *testing.T) {
	_, err := report.Load(t.TempDir())
	require.ErrorContains(t, err, "there are no results")
}
