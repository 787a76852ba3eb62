// Package result is what a load test profile measured: figures held against
// goals, latencies, charts and tables, as text, as JSON and as one HTML page
// that needs no other file.
//
// A goal that is missed is no failure, since a machine may be slow; a problem
// is. Values are plain data: nothing here is safe for use by several goroutines
// at a time, and the slices belong to whoever set them.
package result

import (
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what one run of one profile measured. Its JSON form is the output
// of --output json and the input of 'loadtest summary'.
type Result struct {
	Profile string        `json:"profile"` // the command's name
	Title   string        `json:"title"`   // what it measures, in a few words
	Version string        `json:"server_version"`
	Started time.Time     `json:"started_at"`
	Elapsed time.Duration `json:"elapsed_ns"`
	Machine Machine       `json:"machine"`

	Options   []Option  `json:"options"`
	Goals     []Goal    `json:"goals"`
	Figures   []Figure  `json:"figures"`
	Latencies []Latency `json:"latencies"`
	Charts    []Chart   `json:"charts"`
	Tables    []Table   `json:"tables"`
	Notes     []string  `json:"notes"`    // what a reader of the figures must know
	Problems  []string  `json:"problems"` // what was wrong: lost, miscounted, errors
}

// OK reports that nothing was wrong. Goals may have been missed.
func (r *Result) OK() bool { return len(r.Problems) == 0 }

// Option is a setting of the run, as a user would write it.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Goal is a figure with the value that it should reach.
type Goal struct {
	Name   string  `json:"name"`
	Figure float64 `json:"figure"`
	Unit   string  `json:"unit"` // "" for a ratio
	Target float64 `json:"target"`
	AtMost bool    `json:"at_most"` // the figure must be <= Target, otherwise >= Target
	Base   string  `json:"base"`    // what a ratio is measured against, with its figure; "" for none
}

// Met reports that the figure reaches its target. A figure that is no finite
// number, such as a ratio to nothing, does not.
func (g Goal) Met() bool {
	if !finite(g.Figure) {
		return false
	}
	if g.AtMost {
		return g.Figure <= g.Target
	}
	return g.Figure >= g.Target
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Median is the middle of the values, or the mean of the two in the middle; NaN
// when there are none.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Figure is a measured value without a goal.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Latency sums up the latencies of one kind of request.
type Latency struct {
	Name  string        `json:"name"`
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p99_9_ns"`
	Max   time.Duration `json:"max_ns"`
}

// LatencyOf sums up h, which has recorded microseconds.
func LatencyOf(name string, h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) time.Duration {
		return time.Duration(h.ValueAtPercentile(percentile)) * time.Microsecond
	}
	return Latency{
		Name: name, Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: time.Duration(h.Max()) * time.Microsecond,
	}
}

// Chart is one or more lines over the same X values.
type Chart struct {
	Title  string    `json:"title"`
	XLabel string    `json:"x_label"`
	YLabel string    `json:"y_label"`
	X      []float64 `json:"x"` // ascending
	Lines  []Line    `json:"lines"`
}

// Line is one line of a chart. NaN leaves a gap.
type Line struct {
	Name      string    `json:"name"`
	Y         []float64 `json:"y"`          // as many as the chart has X values
	RightAxis bool      `json:"right_axis"` // the lines of the right axis share a scale and its unit
}

// Table is a table of texts; cells that are numbers are set to the right.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"` // each as long as Columns
}
