package apptest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// measured is what these tests read of a result.
type measured struct {
	Profile  string
	Problems []string
	Goals    []struct {
		Name   string
		Figure float64
	}
	Tables []struct{ Rows [][]string }
}

// measure runs a profile, and returns its result and the file that has it.
func measure(t *testing.T, args ...string) (m measured, file string) {
	t.Helper()
	p := run(t, []string{"TMPDIR=" + t.TempDir()}, append([]string{"loadtest"}, append(args, "--output", "json")...)...)
	require.Equal(t, 0, p.code, p.stderr.String())
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &m))
	require.Empty(t, m.Problems)
	file = filepath.Join(t.TempDir(), args[0]+".json")
	require.NoError(t, os.WriteFile(file, []byte(p.stdout.String()), 0o600))
	return m, file
}

func TestRestartsAndIdlenessAreMeasuredAndSummedUp(t *testing.T) {
	page, data := filepath.Join(t.TempDir(), "restart.html"), t.TempDir()
	restart, restartFile := measure(t, "restart", "--events", "1000", "--rounds", "1", "--load", "200ms", "--sample", "200",
		"--keep-data", data, "--report", page)
	require.Len(t, restart.Goals, 2)
	require.Len(t, restart.Tables[0].Rows, 2, "a clean stop and a kill")
	for _, g := range restart.Goals {
		require.Positive(t, g.Figure, g.Name)
	}
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "ready after kill -9")

	idle, idleFile := measure(t, "idle", "--settle", "10ms", "--duration", "50ms", "--keep-data", data)
	require.Len(t, idle.Goals, 3)
	require.Greater(t, idle.Goals[0].Figure, 1.0, "MB that any server has")

	p := run(t, nil, "loadtest", "summary", "--output", "markdown", restartFile, restartFile, idleFile)
	require.Equal(t, 0, p.code, p.stderr.String())
	require.Regexp(t, "(?m)^\\| `restart` \\| ready after kill -9, longest \\| &lt;= 2 s \\| .* \\| \\d of 2 \\|", p.stdout.String())
	require.Contains(t, p.stdout.String(), "idle memory")
}

func TestASummaryFailsOnWhatIsNoResultAndOnProblems(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	require.NoError(t, os.WriteFile(bad, []byte(`{"profile": "restart", "started_at": "2026-01-01T00:00:00Z", "problems": ["lost"]}`), 0o600))
	p := run(t, nil, "loadtest", "summary", bad)
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stdout.String(), "restart: lost")

	require.NoError(t, os.WriteFile(bad, []byte(`{"profile": "stress"}`), 0o600))
	p = run(t, nil, "loadtest", "summary", bad)
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stderr.String(), bad)
	for _, args := range []string{"", "--output xml " + bad, filepath.Join(t.TempDir(), "absent.json")} {
		p = run(t, nil, append([]string{"loadtest", "summary"}, strings.Fields(args)...)...)
		require.NotEqual(t, 0, p.code, args)
	}
}

func TestTheEchoServerEndsWithItsStandardInput(t *testing.T) {
	p := run(t, nil, "loadtest", "echo-server")
	require.Equal(t, 0, p.code, p.stderr.String())
	require.Regexp(t, `^http://127\.0\.0\.1:\d+\n$`, p.stdout.String())
	require.NotContains(t, run(t, nil, "loadtest", "--help").stdout.String(), "echo-server")
}
