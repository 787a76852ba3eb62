package prove_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

func TestCountFollowsTheKindOfRunAndItsOwnVariable(t *testing.T) {
	t.Setenv("PROVE", "")
	t.Setenv("PROVE_WAL_FLIPS", "")
	require.Equal(t, 100, prove.Count(t, "wal-flips", 100, 1000))
	t.Setenv("PROVE", "release")
	require.Equal(t, 1000, prove.Count(t, "wal-flips", 100, 1000))
	t.Setenv("PROVE_WAL_FLIPS", "7")
	require.Equal(t, 7, prove.Count(t, "wal-flips", 100, 1000))
}

func TestSeedIsTheGivenOne(t *testing.T) {
	t.Setenv("PROVE_SEED", "42")
	require.EqualValues(t, 42, prove.Seed(t))
}

func TestReportWritesTheResultWhenTheTestHasEnded(t *testing.T) {
	out := t.TempDir()
	t.Setenv("PROVE_OUT", out)
	t.Run("some fault", func(t *testing.T) {
		prove.Report(t, prove.Result{Row: 3, Seed: 9, Figures: []prove.Figure{{Name: "cuts", Value: 4}}})
		_, err := os.Stat(filepath.Join(out, "TestReportWritesTheResultWhenTheTestHasEnded_some_fault.json"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	text, err := os.ReadFile(filepath.Join(out, "TestReportWritesTheResultWhenTheTestHasEnded_some_fault.json"))
	require.NoError(t, err)
	var r prove.Result
	require.NoError(t, json.Unmarshal(text, &r))
	require.Equal(t, prove.Result{
		Row: 3, Test: t.Name() + "/some_fault", Seed: 9, Passed: true,
		Figures: []prove.Figure{{Name: "cuts", Value: 4}},
	}, r)
}

func TestReportSaysHowLongTheTestTookSinceItsSeed(t *testing.T) {
	out := t.TempDir()
	t.Setenv("PROVE_OUT", out)
	t.Run("timed", func(t *testing.T) {
		prove.Seed(t)
		prove.Report(t, prove.Result{Row: 3})
	})
	text, err := os.ReadFile(filepath.Join(out, t.Name()+"_timed.json"))
	require.NoError(t, err)
	var r prove.Result
	require.NoError(t, json.Unmarshal(text, &r))
	require.Positive(t, r.Seconds)
}

func TestCannotRunSkipsUnlessTheNeedIsRequired(t *testing.T) {
	t.Setenv("PROVE_REQUIRE", "root")
	skipped := true
	t.Run("needs a mount", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		prove.CannotRun(t, 3, "mount", "no loop device is free")
	})
	require.True(t, skipped)
}

func TestASkipIsNoFailureWhereItIsNotRequired(t *testing.T) {
	t.Setenv("PROVE_REQUIRE", "root,mount-of-something-else")
	skipped := false
	t.Run("needs a mount", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		prove.Skip(t, "mount", "not permitted")
	})
	require.True(t, skipped)
}
