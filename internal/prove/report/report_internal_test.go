package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// folderOf writes results as the fault tests do.
func folderOf(t *testing.T, results ...prove.Result) string {
	t.Helper()
	dir := t.TempDir()
	for _, r := range results {
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, strings.ReplaceAll(r.Test, "/", "_")+".json"), text, 0o600))
	}
	return dir
}

func pageOf(t *testing.T) string {
	t.Helper()
	page := filepath.Join(t.TempDir(), "faults.md")
	require.NoError(t, os.WriteFile(page, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o600))
	return page
}

func TestThePageShowsTheResultsByRowAndControlsLast(t *testing.T) {
	folder, page := folderOf(
		t,
		prove.Result{Row: 3, Test: "TestFault03Power/ext4", Passed: true, Seconds: 75, Seed: 7, Figures: []prove.Figure{{Name: "cuts", Value: 400}}},
		prove.Result{Row: 1, Test: "TestFault01AControl", Passed: true, Control: true},
		prove.Result{Row: 1, Test: "TestFault01Kill", Passed: true, Figures: []prove.Figure{
			{Name: "acknowledged", Value: 50_123_456, Unit: "events"}, {Name: "ready", Value: 0.12345, Unit: "s"},
		}},
		prove.Result{Row: 9, Test: "TestFault09Memory", Passed: true, Skipped: "cgroup: a|b"},
	), pageOf(t)
	var stderr strings.Builder
	require.Zero(t, run([]string{"-results", folder, "-page", page}, &stderr), stderr.String())
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Regexp(t, `(?s)^before\n<!-- figures: begin -->\n\d{4}-\d\d-\d\d, \d+ cores, Linux .*\| row .*<!-- figures: end -->\nafter\n$`, string(text))
	require.NotContains(t, string(text), "old")
	require.Contains(t, string(text), "| 1 | `TestFault01Kill` | acknowledged: 50,123,456 events<br>ready: 0.123 s |  |\n"+
		"| 1 | control: `TestFault01AControl` |  |  |\n"+
		"| 3 | `TestFault03Power/ext4`<br>seed 7 | cuts: 400 | 1m15s |\n"+
		`| 9 | `+"`TestFault09Memory`"+` | **did not run**: cgroup: a\|b |  |`)
}

func TestWhatFailedOrHasNoResultIsSaid(t *testing.T) {
	folder, page := folderOf(t, prove.Result{Row: 1, Test: "TestFault01Kill"}, prove.Result{Row: 3, Test: "TestFault03Power/xfs", Passed: true}), pageOf(t)
	tests := filepath.Join(t.TempDir(), "tests")
	require.NoError(t, os.WriteFile(tests, []byte("TestFault01Kill\nTestFault03Power\nTestFault08Term\n"), 0o600))
	var stderr strings.Builder
	require.Equal(t, 1, run([]string{"-results", folder, "-page", page, "-tests", tests}, &stderr))
	require.Equal(t, "report: TestFault01Kill failed\nTestFault08Term has no result: it failed before it could tell\n", stderr.String())
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "| **FAILED** |")
}

func TestWhatCannotBeReadOrWrittenIsSaid(t *testing.T) {
	sound := folderOf(t, prove.Result{Row: 1, Test: "TestFault01Kill", Passed: true})
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, "TestFault01Kill.json"), []byte("{"), 0o600))
	noMarks := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(noMarks, []byte("text"), 0o600))
	for says, args := range map[string][]string{
		"run 'make prove'":     {"-results", t.TempDir()},
		"TestFault01Kill.json": {"-results", broken},
		"has no marks":         {"-results", sound, "-page", noMarks},
		"no such file":         {"-results", sound, "-tests", filepath.Join(broken, "absent")},
	} {
		var stderr strings.Builder
		require.Equal(t, 1, run(args, &stderr), says)
		require.Contains(t, stderr.String(), says)
	}
	var stderr strings.Builder
	require.Equal(t, 2, run([]string{"-colour"}, &stderr))
}

func TestNumbersAreReadable(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -5000: "-5,000", 0.5: "0.5", 12.345: "12.3"} {
		require.Equal(t, want, number(v))
	}
}
