package ceiling

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkStatementRows chooses the shape of the raw append's statements.
func BenchmarkStatementRows(b *testing.B) {
	for _, rows := range []int{1, 10, 25, 50, 100, 250} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			const events = 200_000
			dir := b.TempDir()
			var sum float64
			for b.Loop() {
				perSecond, err := rawAppend(b.Context(), dir, events, rows)
				require.NoError(b, err)
				sum += perSecond
			}
			b.ReportMetric(sum/float64(b.N), "events/s")
		})
	}
}
