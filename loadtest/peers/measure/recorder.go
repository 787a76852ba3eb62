package measure

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is how long requests took, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// Point is how far a run was at some time after its start.
type Point struct {
	Events  int64   `json:"events"`
	Seconds float64 `json:"seconds"`
}

// Tally is what a Recorder has counted.
type Tally struct {
	Requests   int64
	Stored     int64
	Duplicates int64
	Latency    Latency
	Series     []Point // one for each step of events, and the end
}

// Recorder counts the answers of a run.
type Recorder struct {
	start time.Time
	step  int64

	mu    sync.Mutex
	times *hdrhistogram.Histogram // microseconds
	tally Tally
	next  int64 // events at the next point of the series
}

// longest is the longest time that is told apart from longer ones.
const longest = 10 * time.Minute

// NewRecorder starts the clock. The series gets a point every step of events.
func NewRecorder(step int64) *Recorder {
	return &Recorder{
		start: time.Now(),
		step:  step,
		next:  step,
		times: hdrhistogram.New(1, longest.Microseconds(), 3),
	}
}

// Add counts a request that was answered after some time.
func (r *Recorder) Add(took time.Duration, stored, duplicates int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.times.RecordValue(min(max(took, time.Microsecond), longest).Microseconds()) // It is within the bounds.
	r.tally.Requests++
	r.tally.Stored += int64(stored)
	r.tally.Duplicates += int64(duplicates)
	if n := r.tally.Stored + r.tally.Duplicates; n >= r.next {
		r.point(n)
		r.next = (n/r.step + 1) * r.step
	}
}

func (r *Recorder) point(n int64) {
	r.tally.Series = append(r.tally.Series, Point{n, time.Since(r.start).Seconds()})
}

// Finish stops the clock and returns what was counted.
func (r *Recorder) Finish() Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.tally.Stored + r.tally.Duplicates
	if len(r.tally.Series) == 0 || r.tally.Series[len(r.tally.Series)-1].Events < n {
		r.point(n)
	}
	at := func(q float64) float64 { return float64(r.times.ValueAtQuantile(q)) / 1000 }
	r.tally.Latency = Latency{P50: at(50), P99: at(99), P999: at(99.9), Max: float64(r.times.Max()) / 1000}
	return r.tally
}
