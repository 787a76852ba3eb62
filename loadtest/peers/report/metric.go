package report

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// metric is one figure that peers are compared by: a column.
type metric struct {
	name       string
	moreIsGood bool
	// perRequest says that it depends on how many events a request has.
	perRequest bool
	// value is false where a peer has no such figure.
	value  func(*Result) (float64, bool)
	format func(float64) string
}

var (
	rate = &metric{
		name: "events/s", moreIsGood: true, format: whole,
		value: func(r *Result) (float64, bool) { return r.Rate(), true },
	}
	p50 = &metric{
		name: "p50", perRequest: true, format: milliseconds,
		value: func(r *Result) (float64, bool) { return r.Latency.P50, true },
	}
	p99 = &metric{
		name: "p99", perRequest: true, format: milliseconds,
		value: func(r *Result) (float64, bool) { return r.Latency.P99, true },
	}
	p999 = &metric{
		name: "p99.9", perRequest: true, format: milliseconds,
		value: func(r *Result) (float64, bool) { return r.Latency.P999, true },
	}
	cpu = &metric{
		name:   "server CPU per event",
		format: func(v float64) string { return fmt.Sprintf("%.1f µs", v) },
		value:  func(r *Result) (float64, bool) { return r.Server.CPUSeconds * 1e6 / float64(r.Sent), true },
	}
	memory = &metric{
		name:   "peak memory",
		format: func(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) },
		value:  func(r *Result) (float64, bool) { return float64(r.Server.PeakBytes), true },
	}
	disk = &metric{
		name:   "disk per stored event",
		format: func(v float64) string { return fmt.Sprintf("%.0f B", v) },
		value:  func(r *Result) (float64, bool) { return float64(r.DiskBytes) / float64(r.Stored), true },
	}
	ready = &metric{
		name:   "ready after kill -9",
		format: func(v float64) string { return fmt.Sprintf("%.2f s", v) },
		value:  func(r *Result) (float64, bool) { return r.RestartSeconds, r.RestartSeconds > 0 },
	}

	// metrics are the columns.
	metrics = []*metric{rate, p50, p99, p999, cpu, memory, disk, ready}
)

func whole(v float64) string { return humanize.Comma(int64(v + 0.5)) }

func milliseconds(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.0f ms", v)
}
