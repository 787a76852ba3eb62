package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/report"
)

func TestACommandThatMakesNoSenseIsWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"argument"}, {"-runs", "0"}} {
		var stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), args, &bytes.Buffer{}, &stderr))
		require.NotEmpty(t, stderr.String())
	}
	require.Equal(t, 0, run(t.Context(), []string{"-help"}, &bytes.Buffer{}, &bytes.Buffer{}))
}

func TestACommandThatCannotBeDoneSaysWhy(t *testing.T) {
	for why, args := range map[string][]string{
		"there is no peer \"kafka\"": {"-peers", "kafka"},
		"there are no results":       {"-render", "-out", t.TempDir()},
		"no plan of 0 events":        {"-single", "sqlite", "-events", "0"},
		"not the name of one peer":   {"-single", "postgres"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, 1, run(t.Context(), args, &bytes.Buffer{}, &stderr))
		require.Contains(t, stderr.String(), why)
	}
}

func TestAGrowthRunIsOneLongRunOfThePeersThatGrow(t *testing.T) {
	o, err := parse([]string{"-growth", "5000000", "-runs", "9"}, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, []any{5_000_000, 1, growing}, []any{o.events, o.runs, o.peers})
	require.Equal(t, int64(growthStep), o.step())
}

// TestTheBenchmarkPageSaysWhatItsRawFilesSay keeps the page from being edited
// where it is generated: `make bench-peers` writes it.
func TestTheBenchmarkPageSaysWhatItsRawFilesSay(t *testing.T) {
	const docs = "../../docs"
	folder, err := report.Load(filepath.Join(docs, "benchmarks"))
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(docs, "benchmarks.md"))
	require.NoError(t, err)
	inserted, err := report.Insert(string(page), folder.Markdown("benchmarks/"))
	require.NoError(t, err)
	require.Equal(t, inserted, string(page))
	for name, text := range folder.Charts() {
		chart, err := os.ReadFile(filepath.Join(docs, "benchmarks", name))
		require.NoError(t, err)
		require.Equal(t, text, string(chart), name)
	}
}
