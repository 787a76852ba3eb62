package generator

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Measurement is what a loop saw. Latencies are in microseconds.
type Measurement struct {
	Started time.Time
	Elapsed time.Duration // to the last answer
	Sending time.Duration // to the last request

	Requests           int64 // answered, refusals included
	Refused            int64
	Stored, Duplicates int64 // events
	// Unsent are the requests of a schedule that were dropped because no
	// connection was free in time.
	Unsent int64

	// Latency is of the requests that were not refused. In a closed loop it
	// counts from the moment of sending. In an open loop it counts from when the
	// schedule wanted the request sent, so that requests that had to wait for a
	// slow server are not left out.
	Latency *hdrhistogram.Histogram
	// Refusals is of the refused requests, from the moment of sending.
	Refusals *hdrhistogram.Histogram
	// Late is by how much the generator itself was late in an open loop: from
	// the planned time to the sending by a connection that was free.
	Late *hdrhistogram.Histogram

	// Stall is the longest time in which no answer arrived.
	Stall time.Duration
	// SliceWidth is how long each of Slices is; the last one may be shorter.
	SliceWidth time.Duration
	Slices     []Slice

	ProblemCount int64
	Problems     []string // the first ones
}

// Slice is a part of the time of a measurement.
type Slice struct {
	Events  int64
	Refused int64 // requests
	P50     time.Duration
	P99     time.Duration
	Max     time.Duration
}

// Events are the events that were acknowledged.
func (m *Measurement) Events() int64 { return m.Stored + m.Duplicates }

// EventsPerSecond is the rate of acknowledged events.
func (m *Measurement) EventsPerSecond() float64 { return perSecond(m.Events(), m.Elapsed) }

// RequestsPerSecond is the rate of answers that were not refusals.
func (m *Measurement) RequestsPerSecond() float64 { return perSecond(m.Requests-m.Refused, m.Elapsed) }

// OfferedPerSecond is the rate at which requests were sent.
func (m *Measurement) OfferedPerSecond() float64 { return perSecond(m.Requests, m.Sending) }

// P99 is the 99th percentile of Latency.
func (m *Measurement) P99() time.Duration { return Percentile(m.Latency, 99) }

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Percentile reads a histogram of microseconds.
func Percentile(h *hdrhistogram.Histogram, percentile float64) time.Duration {
	return time.Duration(h.ValueAtPercentile(percentile)) * time.Microsecond
}

// maxLatency is the highest latency that is told apart, in microseconds.
const maxLatency = int64(time.Minute / time.Microsecond)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency, 3) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(1, d.Microseconds()), maxLatency)) // In range, so it cannot fail.
}

func newMeasurement(width time.Duration) *Measurement {
	return &Measurement{Latency: newHistogram(), Refusals: newHistogram(), Late: newHistogram(), SliceWidth: width}
}

// Add merges another measurement of the same kind of load into m, as if both
// had been one with a pause. Slices follow those of m.
func (m *Measurement) Add(o *Measurement) {
	m.Elapsed += o.Elapsed
	m.Sending += o.Sending
	m.Requests += o.Requests
	m.Refused += o.Refused
	m.Stored += o.Stored
	m.Duplicates += o.Duplicates
	m.Unsent += o.Unsent
	m.Latency.Merge(o.Latency)
	m.Refusals.Merge(o.Refusals)
	m.Late.Merge(o.Late)
	m.Stall = max(m.Stall, o.Stall)
	m.Slices = append(m.Slices, o.Slices...)
	m.ProblemCount += o.ProblemCount
	m.Problems = append(m.Problems, o.Problems[:min(len(o.Problems), maxListed-len(m.Problems))]...)
}

// maxListed is how many problems are kept as text; a loop with that many ends.
const maxListed = 20

// Err sums up the problems, or is nil when there was none.
func (m *Measurement) Err() error {
	if m.ProblemCount == 0 {
		return nil
	}
	return fmt.Errorf("%d problems, the first: %s", m.ProblemCount, m.Problems[0])
}
