package sqlite

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRowChecksum is the price of a row's checksum, beside the 3-5 us of
// its insert.
func BenchmarkRowChecksum(b *testing.B) {
	r := eventRow{
		seq: 1 << 24, topic: 7, topicName: "topic-7", id: "c0ffee00c0ffee00c0ffee00c0ffee00", source: "service-a",
		timestamp: "2025-10-24T10:30:00.000Z", eventTime: 1 << 60, processedAt: 1 << 60, batch: 1 << 14, payload: make([]byte, 150),
	}
	var scratch []byte
	sum := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		sum, scratch = r.checksum(scratch)
	}
	require.NotZero(b, sum)
}
