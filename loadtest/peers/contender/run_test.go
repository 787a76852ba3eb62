package contender_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/contender"
	"sekali/loadtest/peers/events"
)

// TestARunMeasuresAndChecks runs the one peer that needs no other program.
func TestARunMeasuresAndChecks(t *testing.T) {
	kinds, err := contender.Choose("sqlite")
	require.NoError(t, err)
	plan, err := events.NewPlan(9, 12_000, 0.1)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "run")
	result, err := contender.Run(t.Context(), kinds[0], contender.Options{Plan: plan, Dir: dir, Limit: time.Minute, Step: 5000})
	require.NoError(t, err)

	require.Equal(t, []any{12_000, int64(10_800), int64(1_200), false},
		[]any{result.Sent, result.Stored, result.Duplicates, result.TimedOut})
	require.Len(t, result.Series, 3)
	require.Equal(t, int64(12_000), result.Series[2].Events)
	require.NotEmpty(t, result.Version)
	require.Positive(t, result.Latency.P50)
	require.Positive(t, result.Server.PeakBytes)
	require.Greater(t, result.DiskBytes, int64(10_800*250))
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "it cleans up")
}

func TestARunOfAProgramThatIsNotThereSaysSoAndCleansUp(t *testing.T) {
	kinds, err := contender.Choose("sekali")
	require.NoError(t, err)
	plan, err := events.NewPlan(9, 10, 0)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "run")
	_, err = contender.Run(t.Context(), kinds[0], contender.Options{
		Environment: contender.Environment{Sekali: "/nowhere/sekali"}, Plan: plan, Dir: dir, Limit: time.Minute, Step: 5,
	})
	require.ErrorContains(t, err, "sekali: start: start /nowhere/sekali")
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}
