// Package prove is the frame of the fault tests: how large a run is, with which
// seed, what it found, and what may be skipped. A fault test is named
// TestFaultNN..., NN being its row in docs/faults.md, and has a control beside
// it, TestFaultNNControl..., which shows that the test can fail.
package prove

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Count returns how often a test does what it does: perCommit in `make test`,
// release in `make prove`, and what PROVE_<NAME> says when it is set.
func Count(t testing.TB, name string, perCommit, release int) int {
	t.Helper()
	variable := "PROVE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if given := os.Getenv(variable); given != "" {
		n, err := strconv.Atoi(given)
		require.NoError(t, err, variable)
		return n
	}
	if Release() {
		return release
	}
	return perCommit
}

// Release reports whether this is the run for a release.
func Release() bool { return os.Getenv("PROVE") == "release" }

// Seed returns the seed of a test's random choices, PROVE_SEED or a new one,
// and prints it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("PROVE_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err, "PROVE_SEED")
	}
	t.Logf("repeat with PROVE_SEED=%d", seed)
	started.Store(t.Name(), time.Now())
	return seed
}

// started has the time of each test's Seed, by name.
var started sync.Map

// Progress logs how far a long test has come, such as "300 of 1000 kills".
func Progress(t testing.TB, done, total int, what string) {
	t.Helper()
	t.Logf("progress: %d of %d %s", done, total, what)
}

// Result is what a fault test found.
type Result struct {
	Row     int      `json:"row"` // of docs/faults.md
	Test    string   `json:"test"`
	Seed    uint64   `json:"seed,omitempty"`
	Control bool     `json:"control,omitempty"` // it shows that the test can fail
	Skipped string   `json:"skipped,omitempty"` // why it could not run here
	Figures []Figure `json:"figures"`
	Seconds float64  `json:"seconds,omitempty"` // from Seed to the end
	Passed  bool     `json:"passed"`
}

// Figure is one number of a result, like {"acknowledged", 51234, "events"}.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// Report logs the result of t and, when PROVE_OUT names a folder, writes it
// there at the end of the test, with whether it passed.
func Report(t testing.TB, r Result) {
	t.Helper()
	r.Test = t.Name()
	line, err := json.Marshal(r.Figures)
	require.NoError(t, err)
	t.Logf("row %d: %s", r.Row, line)
	out := os.Getenv("PROVE_OUT")
	if out == "" {
		return
	}
	t.Cleanup(func() {
		r.Passed = !t.Failed()
		if at, found := started.Load(t.Name()); found {
			r.Seconds = time.Since(at.(time.Time)).Seconds()
		}
		text, err := json.MarshalIndent(r, "", "  ")
		require.NoError(t, err)
		file := filepath.Join(out, strings.ReplaceAll(t.Name(), "/", "_")+".json")
		require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o600))
	})
}

// CannotRun skips a fault test that needs what this machine does not give
// (root, a mount, a control group) as Skip does, and says so in the results.
func CannotRun(t testing.TB, row int, need, why string) {
	t.Helper()
	requireSkippable(t, need, why)
	Report(t, Result{Row: row, Skipped: need + ": " + why})
	t.Skip(need + ": " + why)
}

// Skip skips a test of no row that needs what this machine does not give. Where
// PROVE_REQUIRE names the need, as CI does for all that its machine has, the
// test fails instead: what can run must not be skipped unseen.
func Skip(t testing.TB, need, why string) {
	t.Helper()
	requireSkippable(t, need, why)
	t.Skip(need + ": " + why)
}

func requireSkippable(t testing.TB, need, why string) {
	t.Helper()
	for required := range strings.SplitSeq(os.Getenv("PROVE_REQUIRE"), ",") {
		require.NotEqual(t, required, need, "PROVE_REQUIRE says that this machine has %s, but: %s", need, why)
	}
}
