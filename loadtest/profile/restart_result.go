package profile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"sekali/loadtest/result"
)

// restartTarget is the goal for the time until a server is ready, in seconds.
const restartTarget = 2

func (r *restarter) result() *result.Result {
	clean, killed := r.readySeconds(false), r.readySeconds(true)
	base := fmt.Sprintf("%s events stored at the last start", result.FormatCount(r.starts[len(r.starts)-1].events))
	return &result.Result{
		Profile: "restart", Title: "Time until a server is ready again", Version: r.version,
		Started: r.began, Elapsed: time.Since(r.began), Machine: result.ThisMachine(),
		Options: []result.Option{
			{Name: "events", Value: result.FormatCount(int64(r.o.Events))},
			{Name: "rounds", Value: strconv.Itoa(r.o.Rounds)},
			{Name: "load", Value: r.o.Load.String()},
			{Name: "connections", Value: strconv.Itoa(r.o.Connections)},
			{Name: "batch", Value: strconv.Itoa(restartBatch)},
			{Name: "sample", Value: result.FormatCount(int64(r.o.Sample))},
		},
		Goals: []result.Goal{
			{Name: "ready after a clean stop, longest", Figure: slices.Max(clean), Unit: "s", Target: restartTarget, AtMost: true, Base: base},
			{Name: "ready after kill -9, longest", Figure: slices.Max(killed), Unit: "s", Target: restartTarget, AtMost: true, Base: base},
		},
		Figures: []result.Figure{
			{Name: "ready after a clean stop, median", Value: result.Median(clean), Unit: "s"},
			{Name: "ready after kill -9, median", Value: result.Median(killed), Unit: "s"},
			{Name: "clean stop, longest", Value: r.longestStop().Seconds(), Unit: "s"},
		},
		Charts: []result.Chart{r.chart(clean, killed)},
		Tables: []result.Table{r.table()},
		Notes: []string{
			"Ready is the time from the start of the process until /readyz answered 200 and a first event was stored and answered.",
			"After each start the count of events was checked, and a sample sent again: what was acknowledged just before the end, and events from anywhere. Each must be a duplicate with its seq.",
			"The process is restarted, not the machine: files that it read or wrote before are still in the operating system's memory.",
		},
		Problems: r.problems.list(),
	}
}

func (r *restarter) readySeconds(killed bool) []float64 {
	var seconds []float64
	for _, s := range r.starts {
		if s.killed == killed {
			seconds = append(seconds, s.ready.Seconds())
		}
	}
	return seconds
}

func (r *restarter) longestStop() time.Duration {
	var longest time.Duration
	for _, s := range r.starts {
		longest = max(longest, s.stopping)
	}
	return longest
}

func (r *restarter) chart(clean, killed []float64) result.Chart {
	c := result.Chart{
		Title: "Time until ready, and the write-ahead log that a killed server left", XLabel: "round", YLabel: "seconds",
		Lines: []result.Line{{Name: "after a clean stop", Y: clean}, {Name: "after kill -9", Y: killed}, {Name: "WAL after kill -9, MB", RightAxis: true}},
	}
	for _, s := range r.starts {
		if s.killed {
			c.X = append(c.X, float64(len(c.X)+1))
			c.Lines[2].Y = append(c.Lines[2].Y, float64(s.wal)/bytesPerMB)
		}
	}
	return c
}

func (r *restarter) table() result.Table {
	t := result.Table{
		Title:   "Each start, and the files that it found",
		Columns: []string{"round", "ended by", "events", "database", "WAL", "index", "serving", "ready"},
	}
	for i, s := range r.starts {
		end := "a clean stop"
		if s.killed {
			end = "kill -9"
		}
		t.Rows = append(t.Rows, []string{
			strconv.Itoa(i/2 + 1), end, result.FormatCount(s.events), megabytes(s.database), megabytes(s.wal), megabytes(s.index),
			result.FormatDuration(s.serving), result.FormatDuration(s.ready),
		})
	}
	return t
}

func megabytes(n int64) string { return result.FormatNumber(float64(n)/bytesPerMB) + " MB" }
