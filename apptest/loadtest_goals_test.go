package apptest_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// measureWithReport runs a profile as measure does, and looks at its page, too.
func measureWithReport(t *testing.T, args ...string) measured {
	t.Helper()
	page := filepath.Join(t.TempDir(), "report.html")
	m, _ := measure(t, append(args, "--report", page)...)
	require.Equal(t, args[0], m.Profile)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "</html>")
	return m
}

// What these profiles measure says nothing at such sizes; but all of it is
// measured and verified.
func TestEveryProfileMeasuresItsGoalsAndFindsNothingWrong(t *testing.T) {
	for _, c := range []struct {
		goals int
		args  []string
	}{
		{2, []string{"sustained", "--duration", "200ms", "--ceiling-rows", "2000"}},
		{2, []string{"singles", "--duration", "200ms", "--echo-duration", "100ms", "--connections", "8"}},
		{1, []string{"isolation", "--duration", "100ms", "--rounds", "2"}},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			t.Parallel()
			r := measureWithReport(t, c.args...)
			require.Len(t, r.Goals, c.goals)
			for _, g := range r.Goals {
				require.Positive(t, g.Figure, g.Name)
			}
		})
	}
	t.Run("overload", func(t *testing.T) {
		t.Parallel()
		r := measureWithReport(t, "overload", "--duration", "300ms", "--overload-connections", "64", "--batch", "50")
		require.GreaterOrEqual(t, len(r.Goals), 2, "a load this small may fill nothing, and then nothing is refused")
	})
}

func TestADirectoryThatGrowthFilledIsReadAndGrownAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	growth := []string{"growth", "--keep-data", dir, "--events", "3000", "--repeats-duration", "100ms", "--ceiling-rows", "2000"}
	first := measureWithReport(t, growth...)
	require.Len(t, first.Goals, 4)
	require.Len(t, first.Tables[0].Rows, 10)
	require.Equal(t, "3,000", first.Tables[0].Rows[9][0])

	reads := measureWithReport(t, "reads", "--keep-data", dir, "--duration", "200ms", "--rate", "40")
	require.Len(t, reads.Goals, 3)

	again := measureWithReport(t, growth...)
	require.NotEqual(t, "300", again.Tables[0].Rows[0][0], "the events of before are counted")
}

func TestAProfileRefusesWrongUsageBeforeItStartsAnything(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no events":                 {"growth", "--events", "0"},
		"a time that is too long":   {"growth", "--repeats-duration", "1m"},
		"too many topics":           {"sustained", "--topics", "1001"},
		"a share above 100 %":       {"singles", "--duplicates", "150%"},
		"data for a foreign server": {"reads", "--url", "http://127.0.0.1:1", "--keep-data", "x"},
		"an unknown format":         {"overload", "--output", "xml"},
		"a URL without a scheme":    {"isolation", "--url", "127.0.0.1:8080"},
	} {
		t.Run(name, func(t *testing.T) {
			p := run(t, nil, slices.Concat([]string{"loadtest"}, args)...)
			require.Equal(t, 2, p.code, "%s", &p.stderr)
		})
	}
}

func TestAProfileFailsWhenItsServerIsNotThere(t *testing.T) {
	t.Parallel()
	p := run(t, nil, "loadtest", "sustained", "--url", "http://127.0.0.1:1", "--duration", "100ms")
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stderr.String(), "is not ready")
}
