package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"sekali/loadtest/peers/measure"
)

// Result is one run of one peer that passed every check.
type Result struct {
	Peer    string `json:"peer"`
	Family  string `json:"family"`
	Label   string `json:"label"`
	Unsafe  string `json:"unsafe,omitempty"` // why its answers do not mean disk
	Round   int    `json:"round"`            // 1 is the first
	Version string `json:"version"`

	Settings      []string  `json:"settings"`
	Connections   int       `json:"connections"`
	RequestEvents int       `json:"request_events"`
	Started       time.Time `json:"started"`

	Sent       int     `json:"sent"`
	Stored     int64   `json:"stored"`
	Duplicates int64   `json:"duplicates"`
	TimedOut   bool    `json:"timed_out"` // not all events were sent within the time for one run
	Seconds    float64 `json:"seconds"`

	Latency measure.Latency `json:"latency"`
	Series  []measure.Point `json:"series"`
	Server  measure.Usage   `json:"server"`
	// ClientCPUSeconds is 0 where server and client are one process.
	ClientCPUSeconds float64 `json:"client_cpu_seconds"`
	DiskBytes        int64   `json:"disk_bytes"` // after a stop in good order, less what an empty one takes
	// RestartSeconds is from the start after kill -9 until it served; 0 where
	// there is no process to kill.
	RestartSeconds float64 `json:"restart_seconds"`
}

// Rate is the events answered per second.
func (r *Result) Rate() float64 { return float64(r.Sent) / r.Seconds }

// Set is all results of one command.
type Set struct {
	Machine measure.Machine `json:"machine"`
	Commit  string          `json:"commit"` // of Sekali

	Seed       uint64  `json:"seed"`
	Events     int     `json:"events"`
	EventBytes int     `json:"event_bytes"` // on average, as JSON
	Topics     int     `json:"topics"`
	Repeats    float64 `json:"repeats"` // share of the events
	Nearby     int     `json:"nearby"`  // half of the repeats are of this many events before

	Growth  bool     `json:"growth"` // one long run each, for the series
	Trials  []Trial  `json:"trials,omitempty"`
	Results []Result `json:"results"`
}

// Trial is how fast a peer was with different numbers of connections, before
// its runs.
type Trial struct {
	Peer  string      `json:"peer"`
	Rates []TrialRate `json:"rates"`
}

// TrialRate is one short run.
type TrialRate struct {
	Connections     int     `json:"connections"`
	EventsPerSecond float64 `json:"events_per_second"`
}

// Best is the number of connections of the fastest run.
func (t *Trial) Best() int {
	return slices.MaxFunc(t.Rates, func(a, b TrialRate) int {
		return cmp.Compare(a.EventsPerSecond, b.EventsPerSecond)
	}).Connections
}

// Read reads a set from a file.
func Read(path string) (*Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s Set
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &s, nil
}

// Write writes it to a file.
func (s *Set) Write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) // It is published.
}
