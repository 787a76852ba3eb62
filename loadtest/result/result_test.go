package result_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"sekali/loadtest/result"
)

// example is a result with everything in it.
func example() *result.Result {
	return &result.Result{
		Profile: "growth", Title: "Rate, memory and disk as the gate fills", Version: "1.2.3",
		Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Elapsed: 203*time.Second + 456*time.Millisecond,
		Machine: result.Machine{CPUs: 2, CPU: "Some CPU", Memory: 24 << 30, OS: "linux/amd64", Kernel: "6.1.0", Go: "go1.26"},
		Options: []result.Option{{Name: "events", Value: "20,000,000"}, {Name: "batch", Value: "100"}, {Name: "connections", Value: "8"}},
		Goals: []result.Goal{
			{Name: "rate at 20 M / rate at 2 M", Figure: 0.9496, Target: 0.95, Base: "rate of the second million: 104,231 events/s; raw append before 251,020, after 249,800 events/s"},
			{Name: "resident memory", Figure: 231.4, Unit: "MB", Target: 256, AtMost: true},
			{Name: "rate with nothing to compare", Figure: math.NaN(), Target: 1},
		},
		Figures:   []result.Figure{{Name: "rate", Value: 103_456.7, Unit: "events/s"}, {Name: "disk", Value: 312.25, Unit: "bytes/event"}},
		Latencies: []result.Latency{{Name: "publish", Count: 200_000, P50: 1234 * time.Microsecond, P90: 2 * time.Millisecond, P99: 9 * time.Millisecond, P999: 20 * time.Millisecond, Max: 1234 * time.Millisecond}},
		Charts: []result.Chart{{
			Title: "Rate and memory", XLabel: "million events", YLabel: "events/s", X: []float64{1, 2, 3},
			Lines: []result.Line{{Name: "events/s", Y: []float64{100_000, math.NaN(), 103_000}}, {Name: "RSS, MB", Y: []float64{100, 150, 200}, RightAxis: true}},
		}},
		Tables:   []result.Table{{Title: "By million", Columns: []string{"million", "phase", "events/s"}, Rows: [][]string{{"1", "fill", "100,000"}, {"2", "fill", "98,500"}}}},
		Notes:    []string{"The generator shares the cores with the server, and so does everything else that this machine has to do at the time."},
		Problems: []string{"<script>alert(1)</script> was counted twice"},
	}
}

func TestTheTextSaysEverythingIn80Columns(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, example().WriteText(&text))
	for _, want := range []string{
		"Load test growth: Rate, memory and disk as the gate fills\n",
		"  server    sekali 1.2.3\n",
		"  started   2026-03-01 12:00:00 UTC, took 3m23.5s\n",
		"  machine   2 x Some CPU, 24 GiB\n            linux/amd64, kernel 6.1.0, go1.26\n",
		"  options   events 20,000,000, batch 100, connections 8\n",
		"  missed  rate at 20 M / rate at 2 M    0.9496  (goal >= 0.95)\n          rate of the second million:",
		"  met     resident memory               231 MB  (goal <= 256 MB)\n",
		"  missed  rate with nothing to compare       -  (goal >= 1)\n",
		"  rate  103,457  events/s\n  disk      312  bytes/event\n",
		"Latency\n             count      p50   p90   p99  p99.9     max\n  publish  200,000  1.23 ms  2 ms  9 ms  20 ms  1.23 s\n",
		"By million\n  million  phase  events/s\n        1  fill    100,000\n",
		"  - The generator shares",
		"FAILED: 1 problem; 1 of 3 goals met\n",
	} {
		require.Contains(t, text.String(), want)
	}
	for line := range strings.Lines(text.String()) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
	}
}

func TestTheVerdictTellsAProblemFromAMissedGoal(t *testing.T) {
	r := example()
	require.False(t, r.OK())
	r.Problems = nil
	require.True(t, r.OK(), "a slow machine is no failure")
	require.Equal(t, "OK: nothing was wrong; 1 of 3 goals met", r.Verdict())
	r.Goals = nil
	require.Equal(t, "OK: nothing was wrong", r.Verdict())
	r.Problems = []string{"a", "b"}
	require.Equal(t, "FAILED: 2 problems; 0 of 0 goals met", r.Verdict())
}

func TestAGoalIsMetOnItsSideOfTheTarget(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		goal result.Goal
		met  bool
	}{
		"at least, above":          {result.Goal{Figure: 2, Target: 1}, true},
		"at least, equal":          {result.Goal{Figure: 1, Target: 1}, true},
		"at least, below":          {result.Goal{Figure: 0.99, Target: 1}, false},
		"at most, below":           {result.Goal{Figure: 0.99, Target: 1, AtMost: true}, true},
		"at most, equal":           {result.Goal{Figure: 1, Target: 1, AtMost: true}, true},
		"at most, above":           {result.Goal{Figure: 2, Target: 1, AtMost: true}, false},
		"a ratio of zeros":         {result.Goal{Figure: math.NaN(), Target: 1}, false},
		"a ratio of zeros at most": {result.Goal{Figure: math.NaN(), Target: 1, AtMost: true}, false},
		"a ratio to zero":          {result.Goal{Figure: inf, Target: 1}, false},
		"below everything":         {result.Goal{Figure: -inf, Target: 1, AtMost: true}, false},
	} {
		require.Equal(t, c.met, c.goal.Met(), name)
	}
}

func TestAFigureDoesNotLookLikeATargetThatItMisses(t *testing.T) {
	require.Equal(t, "0.95", result.Goal{Figure: 0.95, Target: 0.95}.Format())
	require.Equal(t, "0.9499", result.Goal{Figure: 0.9499, Target: 0.95}.Format())
	require.Equal(t, "0.949999", result.Goal{Figure: 0.949999, Target: 0.95}.Format())
	require.Equal(t, "0.94999999999", result.Goal{Figure: 0.94999999999, Target: 0.95}.Format())
	require.Equal(t, "99,999 events/s", result.Goal{Figure: 99_999, Target: 100_000, Unit: "events/s"}.Format())
	require.Equal(t, ">= 100,000 events/s", result.Goal{Target: 100_000, Unit: "events/s"}.FormatTarget())
	require.Equal(t, "<= 0.35", result.Goal{Target: 0.35, AtMost: true}.FormatTarget())
}

func TestNumbersAreWrittenWithThreeDigitsOrInGroups(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 1: "1", 0.97: "0.97", 0.12345: "0.123", 0.0012345: "0.00123", 12.345: "12.3", 999.4: "999", 1234.5: "1,235",
		1e6: "1,000,000", -5.25: "-5.25", -1234: "-1,234",
	} {
		require.Equal(t, want, result.FormatNumber(x))
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.Equal(t, "-", result.FormatNumber(x))
	}
}

func TestJSONCanBeReadAgain(t *testing.T) {
	r := example()
	var text, again bytes.Buffer
	require.NoError(t, r.WriteJSON(&text))
	read, err := result.Read(bytes.NewReader(text.Bytes()))
	require.NoError(t, err)
	require.NoError(t, read.WriteJSON(&again))
	require.Equal(t, text.String(), again.String())
	require.True(t, math.IsNaN(read.Goals[2].Figure))
	require.True(t, math.IsNaN(read.Charts[0].Lines[0].Y[1]))
	require.Equal(t, r.Latencies, read.Latencies)
	require.Equal(t, r.Figures, read.Figures)
	require.Contains(t, text.String(), `"met": true`)
}

func TestAGoalWithoutAFigureInItsJSONIsNotMet(t *testing.T) {
	r, err := result.Read(strings.NewReader(`{"profile": "idle", "started_at": "2026-01-01T00:00:00Z",
		"goals": [{"name": "memory", "target": 50, "at_most": true, "met": true}]}`))
	require.NoError(t, err)
	require.False(t, r.Goals[0].Met())
}

func TestJSONOfSomethingElseIsRefused(t *testing.T) {
	for _, text := range []string{"", "[]", "{}", `{"profile": "stress"}`, "no JSON"} {
		_, err := result.Read(strings.NewReader(text))
		require.Error(t, err, text)
	}
}

func TestThePageNeedsNothingElseAndEscapesWhatItShows(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, example().WriteHTML(&b))
	html := b.String()
	for _, want := range []string{
		"Rate, memory and disk as the gate fills", "uPlot", "0.9496", "goal &gt;= 0.95", "rate of the second million", "By million",
		"Some CPU, 24 GiB", `"y":[100000,null,103000]`, "The generator shares",
	} {
		require.Contains(t, html, want)
	}
	require.NotContains(t, html, "<script>alert")
	require.NotRegexp(t, `(src|href)=`, html)
}

func TestAnEmptyResultIsWrittenToo(t *testing.T) {
	r := &result.Result{Profile: "idle", Charts: []result.Chart{{Title: "nothing"}}, Tables: []result.Table{{Columns: []string{"a"}}}}
	var text, page, json bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.NoError(t, r.WriteHTML(&page))
	require.NoError(t, r.WriteJSON(&json))
}

func TestALatencyIsTakenFromMicroseconds(t *testing.T) {
	h := hdrhistogram.New(1, 60_000_000, 3)
	for us := int64(1); us <= 1000; us++ {
		require.NoError(t, h.RecordValue(us))
	}
	require.NoError(t, h.RecordValue(2_000_000))
	l := result.LatencyOf("reads", h)
	require.Equal(t, "reads", l.Name)
	require.EqualValues(t, 1001, l.Count)
	require.InDelta(t, 500, l.P50.Microseconds(), 2)
	require.InDelta(t, 990, l.P99.Microseconds(), 2)
	require.InDelta(t, 2, l.Max.Seconds(), 0.01)
}

func TestThisMachineIsDescribed(t *testing.T) {
	m := result.ThisMachine()
	require.Positive(t, m.CPUs)
	require.NotEmpty(t, m.CPU)
	require.Contains(t, m.Go, "go")
	require.Len(t, m.Lines(), 2)
}
