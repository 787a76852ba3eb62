package values_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/values"
)

func TestTheBatteryIsRead(t *testing.T) {
	list, err := values.Battery()
	require.NoError(t, err)
	require.Greater(t, len(list), 500)
	sent, accepted, refused, pairs := map[string]int{}, 0, 0, 0
	for _, v := range list {
		if !v.Pair {
			key := v.Field + " " + v.Raw
			require.Zero(t, sent[key], "lines %d and %d are the same", sent[key], v.Line)
			sent[key] = v.Line
		}
		switch {
		case v.Pair:
			pairs++
		case v.Accepted():
			accepted++
		default:
			refused++
			require.Equal(t, v.Status == 422, v.Loc != "", "line %d", v.Line)
		}
	}
	t.Logf("%d values: %d accepted, %d refused, %d pairs", len(list), accepted, refused, pairs)
	require.Greater(t, min(accepted, refused, pairs), 100)
}
