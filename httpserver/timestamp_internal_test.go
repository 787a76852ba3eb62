package httpserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEveryDayIsThatOfPackageTime holds our own calendar against the library's,
// for each day that a timestamp may have.
func TestEveryDayIsThatOfPackageTime(t *testing.T) {
	for day := earliest; day.Before(latest); day = day.AddDate(0, 0, 1) {
		noon := day.Add(12 * time.Hour)
		got, why := parseTimestamp(noon.Format(time.RFC3339))
		if why != "" || got != noon {
			require.Failf(t, "another day", "%s is %s here: %s", noon, got, why)
		}
		if next := day.AddDate(0, 0, 1); next.Month() != day.Month() {
			require.Equal(t, day.Day(), daysIn(day.Year(), int(day.Month())))
		}
	}
}
