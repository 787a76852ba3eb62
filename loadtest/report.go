package loadtest

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sekali/loadtest/result"
)

// Report is what a run measured and found. Its JSON form is the output of
// --output json.
type Report struct {
	Profile   string    `json:"profile"`
	RunID     string    `json:"run_id"`
	StartedAt time.Time `json:"started_at"`
	URL       string    `json:"url"`
	Server    string    `json:"server_version"`

	Options Settings       `json:"options"`
	Machine result.Machine `json:"machine"`

	Seconds    float64 `json:"seconds"` // from the first request to the last answer
	EventsPerS float64 `json:"events_per_second"`
	// RequestsPerS counts requests that were answered in the end.
	RequestsPerS float64 `json:"requests_per_second"`

	Attempts int64            `json:"attempts"`
	Retries  int64            `json:"retries"`
	Statuses map[string]int64 `json:"statuses"` // attempts by status, "no answer", "no connection"
	Counts   Counts           `json:"counts"`

	LatencyMs   Latency  `json:"latency_ms"`
	Histogram   []Bucket `json:"histogram"`   // of the attempts' latencies
	Percentiles []Point  `json:"percentiles"` // the same as a curve
	Timeline    []Tick   `json:"timeline"`

	Checks   []Check  `json:"checks"`
	Problems problems `json:"problems"`
	// Failure is what ended the run early; "" when it ran to its end.
	Failure string `json:"failure,omitempty"`
}

// OK reports that the run came to its end and that everything matched.
func (r *Report) OK() bool { return r.Failure == "" && r.Problems.Count == 0 }

// Settings are the options that a run used.
type Settings struct {
	Events         int     `json:"events"`
	DuplicateShare float64 `json:"duplicate_share"`
	Connections    int     `json:"connections"`
	BatchSize      int     `json:"batch_size"`
	Topics         int     `json:"topics"`
	PayloadBytes   int     `json:"payload_bytes"`
	Seed           uint64  `json:"seed"`
	Timeout        string  `json:"timeout"`
}

// Counts are numbers of sends, but for those of /stats.
type Counts struct {
	Planned      int64 `json:"planned"`
	Acknowledged int64 `json:"acknowledged"`
	Unknown      int64 `json:"unknown"` // no final answer; may be stored
	Refused      int64 `json:"refused"` // answered as not stored
	Unsent       int64 `json:"unsent"`

	Stored             int64 `json:"stored"`
	ExpectedStored     int64 `json:"expected_stored"`
	Duplicates         int64 `json:"duplicates"`
	ExpectedDuplicates int64 `json:"expected_duplicates"`

	// Stats is the growth of /stats; nil when it could not be read.
	Stats *statsDelta `json:"stats_growth"`
}

// Latency sums up the latencies of all attempts, in milliseconds.
type Latency struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Point is a point of the percentile curve.
type Point struct {
	Percentile float64 `json:"percentile"` // 0 to 100
	Ms         float64 `json:"ms"`
}

// Tick is a slice of the run.
type Tick struct {
	Second     float64 `json:"second"` // its end, since the start of the run
	EventsPerS float64 `json:"events_per_second"`
	MaxMs      float64 `json:"max_ms"` // slowest answer that arrived in it
}

func (r *run) report() *Report {
	v := &r.verdict
	rep := &Report{
		Profile: "stress", RunID: r.options.RunID, StartedAt: r.start.UTC(), URL: r.options.URL, Server: r.health.Version,
		Options: settingsOf(r.options), Machine: result.ThisMachine(),
		Seconds:     r.wall.Seconds(),
		Attempts:    r.tally.attempts,
		Statuses:    r.tally.statuses,
		Counts:      r.counts(),
		LatencyMs:   latencyOf(r.tally.latency),
		Histogram:   bucketsOf(r.tally.latency),
		Percentiles: percentilesOf(r.tally.latency),
		Timeline:    r.timeline(),
		Checks:      v.checks,
		Problems:    v.problems,
	}
	answered := 0
	for i := range r.requests {
		if r.requests[i].state == requestAnswered {
			answered++
		}
	}
	rep.Retries = r.tally.attempts - min(r.tally.attempts, r.begun())
	rep.EventsPerS = float64(v.acknowledged) / r.wall.Seconds()
	rep.RequestsPerS = float64(answered) / r.wall.Seconds()
	if r.failure != nil {
		rep.Failure = r.failure.Error()
	}
	return rep
}

// begun is the number of requests that a worker took on.
func (r *run) begun() int64 { return min(r.next.Load(), int64(len(r.requests))) }

func settingsOf(o Options) Settings {
	return Settings{
		Events: o.Events, DuplicateShare: o.DuplicateShare, Connections: o.Connections, BatchSize: o.BatchSize,
		Topics: o.Topics, PayloadBytes: o.PayloadBytes, Seed: o.Seed, Timeout: o.Timeout.String(),
	}
}

func (r *run) counts() Counts {
	v := &r.verdict
	planned := int64(len(r.plan.sends))
	return Counts{
		Planned: planned, Acknowledged: v.acknowledged, Unknown: v.unknown, Refused: v.refused, Unsent: v.unsent,
		Stored: v.stored, ExpectedStored: int64(r.plan.unique),
		Duplicates: v.duplicates, ExpectedDuplicates: planned - int64(r.plan.unique),
		Stats: v.statsDelta,
	}
}

const usPerMs = 1000

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / usPerMs }
	return Latency{
		Min: float64(h.Min()) / usPerMs, Mean: h.Mean() / usPerMs,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / usPerMs,
	}
}

// percentilesOf samples the curve more densely towards 100 %, as far as there
// are enough values to tell the difference.
func percentilesOf(h *hdrhistogram.Histogram) []Point {
	var points []Point
	for _, p := range []float64{
		0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 96, 97, 98, 99, 99.25, 99.5, 99.6, 99.7, 99.8,
		99.9, 99.95, 99.97, 99.98, 99.99, 99.995, 99.998, 99.999,
	} {
		if p > 50 && float64(h.TotalCount())*(100-p)/100 < 0.5 {
			break
		}
		points = append(points, Point{Percentile: p, Ms: float64(h.ValueAtPercentile(p)) / usPerMs})
	}
	return points
}

// timeline cuts the run into at most 60 slices of equal length.
func (r *run) timeline() []Tick {
	const slices = 60
	width := max(r.wall/slices, 5*time.Millisecond)
	ticks := make([]Tick, int(r.wall/width)+1)
	for i := range ticks {
		// The last slice is as long as the run leaves it.
		end := min(time.Duration(i+1)*width, r.wall)
		ticks[i].Second = end.Seconds()
	}
	for i := range r.requests {
		rec := &r.requests[i]
		if rec.state != requestAnswered {
			continue
		}
		from, to := r.plan.request(i)
		tick := &ticks[min(int(rec.end/width), len(ticks)-1)]
		tick.EventsPerS += float64(to - from)
		tick.MaxMs = max(tick.MaxMs, float64(rec.latency.Microseconds())/usPerMs)
	}
	begin := 0.0
	for i := range ticks {
		ticks[i].EventsPerS /= max(ticks[i].Second-begin, 1e-3)
		begin = ticks[i].Second
	}
	return mergeShortTail(ticks, width)
}

// mergeShortTail drops a last slice so short that its rate would mean nothing;
// a run of one slice keeps it.
func mergeShortTail(ticks []Tick, width time.Duration) []Tick {
	n := len(ticks)
	if n > 1 && ticks[n-1].Second-ticks[n-2].Second < width.Seconds()/2 {
		return ticks[:n-1]
	}
	return ticks
}
