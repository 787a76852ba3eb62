package apptest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

func decodeKey(t testing.TB, text []byte) (k madeKey) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &k), "%s", text)
	return k
}

// TestFault12KillWhileKeysAreWritten kills 'sekali keys' at random moments and
// when its new file is there but not yet in force. The list is whole each
// time, and has every key that was shown.
func TestFault12KillWhileKeysAreWritten(t *testing.T) {
	kills := prove.Count(t, "key-kills", 12, 300)
	seed := prove.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	begin := time.Now()
	shown := []madeKey{createKey(t, dir, "k", "read")}
	usual := time.Since(begin)
	next := filepath.Join(dir, "keys.json.next")
	killed, halfway := 0, 0
	for i := range kills {
		p := launch(t, nil, "keys", "create", "--data-dir", dir, "--name", fmt.Sprint("k", i), "--scope", "read", "--output", "json")
		if i%2 == 0 {
			wait(p, time.Duration(random.Int64N(int64(2*usual))))
		} else if waitFor(p, next) {
			halfway++
		}
		p.kill()
		switch p.code {
		case 0:
			shown = append(shown, decodeKey(t, []byte(p.stdout.String())))
		case -1:
			killed++
		default:
			require.FailNow(t, "the command failed", p.stderr.String())
		}
		listed := keysCommand[[]madeKey](t, "list", "--data-dir", dir)
		for _, k := range shown {
			require.True(t, slices.ContainsFunc(listed, func(l madeKey) bool { return l.ID == k.ID }), "a key that was shown is kept")
		}
		require.LessOrEqual(t, len(listed), i+2)
	}
	createKey(t, dir, "last", "read")
	require.NoFileExists(t, next, "what a kill has left is cleared away")
	prove.Report(t, prove.Result{Row: 12, Seed: seed, Figures: []prove.Figure{
		{Name: "kills", Value: float64(killed)},
		{Name: "kills halfway", Value: float64(halfway)},
		{Name: "keys shown", Value: float64(len(shown))},
		{Name: "keys lost", Value: 0},
		{Name: "broken files", Value: 0},
	}})
}

// wait waits until a process ends, or for a time.
func wait(p *process, d time.Duration) {
	select {
	case <-p.exited:
	case <-time.After(d):
	}
}

// waitFor waits until a process ends or a file exists, and reports the latter.
func waitFor(p *process, file string) bool {
	for !p.ended() {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}

// TestFault12ControlKillWhileKeysAreWritten writes the file as a program would
// that does not care, and ends halfway: the list shows it.
func TestFault12ControlKillWhileKeysAreWritten(t *testing.T) {
	dir := t.TempDir()
	createKey(t, dir, "k", "read")
	file := filepath.Join(dir, "keys.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, kept := range []int{0, 1, len(text) / 2, len(text) - 3} {
		require.NoError(t, os.WriteFile(file, text[:kept], 0o600))
		require.Equal(t, 1, run(t, nil, "keys", "list", "--data-dir", dir).code, "%d bytes of %d", kept, len(text))
	}
	prove.Report(t, prove.Result{Row: 12, Control: true, Figures: []prove.Figure{{Name: "half files seen", Value: 4}}})
}
