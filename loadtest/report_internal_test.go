package loadtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestLatenciesAreWrittenWithThreeDigitsAndAUnit(t *testing.T) {
	for ms, want := range map[float64]string{
		0: "0 µs", 0.001: "1 µs", 0.0355: "35.5 µs", 0.7: "700 µs", 1: "1 ms", 1.234: "1.23 ms",
		26.71: "26.7 ms", 150: "150 ms", 1500: "1.5 s", 61234: "61.2 s",
	} {
		require.Equal(t, want, formatMs(ms))
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000",
	} {
		require.Equal(t, want, group(n))
	}
}

func TestTheHistogramHoldsEveryValueInItsBucketAndFits80Columns(t *testing.T) {
	tally := newTally()
	for _, us := range []int64{1, 99, 100, 149, 150, 7000, 99_999, 100_000, 2_000_000, maxLatency} {
		require.NoError(t, tally.latency.RecordValues(us, 1000))
	}
	buckets := bucketsOf(tally.latency)
	var total int64
	for i, b := range buckets {
		total += b.Count
		if i > 0 {
			require.InDelta(t, buckets[i-1].ToMs, b.FromMs, 1e-9)
		}
	}
	require.EqualValues(t, 10_000, total)
	require.InDelta(t, 0.001, buckets[0].FromMs, 1e-9)

	var out strings.Builder
	drawHistogram(&out, buckets)
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
	}
	require.Empty(t, bucketsOf(newTally().latency))
}

func TestBarsAreDrawnInEighths(t *testing.T) {
	require.Equal(t, strings.Repeat("█", barWidth), bar(10, 10))
	require.Equal(t, strings.Repeat("█", barWidth/2), bar(5, 10))
	require.Equal(t, "▏", bar(1, 1_000_000))
	require.Equal(t, "█▌", bar(3, 80))
	require.Empty(t, bar(0, 10))
}

func TestTheTimelineAddsUpToTheRun(t *testing.T) {
	r := &run{options: Options{BatchSize: 10}, wall: time.Second}
	r.plan = &plan{options: r.options, sends: make([]uint32, 1000)}
	r.requests = make([]requestRecord, 100)
	for i := range r.requests {
		r.requests[i] = requestRecord{
			state: requestAnswered, end: time.Duration(i+1) * 10 * time.Millisecond, latency: time.Millisecond,
		}
	}
	events, begin := 0.0, 0.0
	ticks := r.timeline()
	require.LessOrEqual(t, len(ticks), 61)
	for _, tick := range ticks {
		require.Greater(t, tick.Second, begin)
		events += tick.EventsPerS * (tick.Second - begin)
		begin = tick.Second
	}
	require.InDelta(t, 1000, events, 20)
}

func TestTheServersLogIsReadForItsURL(t *testing.T) {
	l := newServerLog()
	text := `{"msg":"opening"}` + "\nnot json\n" + `{"msg":"serving","url":"http://127.0.0.1:4","pid":1}` + "\n" +
		`{"msg":"serving","url":"http://127.0.0.1:5"}` + "\n"
	for _, c := range text { // However the pipe cuts it.
		_, err := fmt.Fprint(l, string(c))
		require.NoError(t, err)
	}
	require.Equal(t, "http://127.0.0.1:4", <-l.serving)
	require.Empty(t, l.serving)
	require.Contains(t, l.tail(), "not json")
}

func TestTheServersLogIsKeptInBoundedMemory(t *testing.T) {
	l := newServerLog()
	for i := range 1000 {
		_, err := fmt.Fprintln(l, "line", i)
		require.NoError(t, err)
	}
	_, err := l.Write(bytes.Repeat([]byte("x"), 3*maxLineBytes))
	require.NoError(t, err)
	require.LessOrEqual(t, len(l.lines), keptLines)
	require.Less(t, len(l.rest), maxLineBytes)
}
