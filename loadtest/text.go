package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sekali/loadtest/result"
)

// WriteText writes the report for people, at most 80 columns wide but for long
// problems.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	r.writeSpeed(&b)
	r.writeCounts(&b)
	if len(r.Histogram) > 0 {
		b.WriteString("\nLatency of each attempt\n")
		drawHistogram(&b, r.Histogram)
	}
	r.writeVerdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeHead(b *strings.Builder) {
	o, m := r.Options, r.Machine
	fmt.Fprintf(b, "Load test %s, run %s, seed %d\n\n", r.Profile, r.RunID, o.Seed)
	row(b, "load", "%s events, %s %% of them repeats, %s topics", group(int64(o.Events)), trimFloat(100*o.DuplicateShare), group(int64(o.Topics)))
	row(b, "", "%s connections, %s, payloads of %s bytes", group(int64(o.Connections)), batchText(o.BatchSize), group(int64(o.PayloadBytes)))
	row(b, "server", "sekali %s at %s", r.Server, r.URL)
	row(b, "machine", "%d x %s", m.CPUs, m.CPU)
	row(b, "", "%s, %s", m.OS, m.Go)
}

func batchText(size int) string {
	if size == 1 {
		return "single events"
	}
	return "batches of " + group(int64(size))
}

func (r *Report) writeSpeed(b *strings.Builder) {
	l := r.LatencyMs
	b.WriteString("\n")
	row(b, "throughput", "%s events/s, %s requests/s, in %.2f s", group(int64(r.EventsPerS)), group(int64(r.RequestsPerS)), r.Seconds)
	row(b, "latency", "p50 %s   p90 %s   p99 %s", formatMs(l.P50), formatMs(l.P90), formatMs(l.P99))
	row(b, "", "p99.9 %s   max %s", formatMs(l.P999), formatMs(l.Max))
	var statuses []string
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		statuses = append(statuses, fmt.Sprintf("%s %s", statusLabel(status), group(r.Statuses[status])))
	}
	row(b, "answers", "%s   (%s retries)", strings.Join(statuses, "   "), group(r.Retries))
}

func (r *Report) writeCounts(b *strings.Builder) {
	c := r.Counts
	received, stored, duplicates := "-", "-", "-"
	if c.Stats != nil {
		received, stored, duplicates = group(c.Stats.Received), group(c.Stats.Unique), group(c.Stats.Duplicates)
	}
	b.WriteString("\n")
	for _, line := range [][4]string{
		{"events", "sent", "answered", "/stats"},
		{"all", group(c.Planned), group(c.Acknowledged), received},
		{"stored", group(c.ExpectedStored), group(c.Stored), stored},
		{"duplicates", group(c.ExpectedDuplicates), group(c.Duplicates), duplicates},
	} {
		fmt.Fprintf(b, "  %-11s %14s %14s %14s\n", line[0], line[1], line[2], line[3])
	}
	if c.Acknowledged != c.Planned {
		b.WriteString("\n")
		row(b, "not all", "%s acknowledged, %s unknown, %s refused, %s not sent",
			group(c.Acknowledged), group(c.Unknown), group(c.Refused), group(c.Unsent))
	}
}

func (r *Report) writeVerdict(b *strings.Builder) {
	b.WriteString("\nVerified\n")
	writeChecks(b, r.Checks)
	writeProblems(b, r.Problems)
	switch {
	case r.Failure != "":
		fmt.Fprintf(b, "\nFAILED: the run ended early: %s\n", r.Failure)
	case r.Problems.Count > 0:
		fmt.Fprintf(b, "\nFAILED: %s\n", countProblems(r.Problems.Count))
	default:
		b.WriteString("\nOK: everything matches\n")
	}
}

func writeChecks(b *strings.Builder, checks []Check) {
	for _, c := range checks {
		mark := "✓"
		if !c.OK {
			mark = "✗"
		}
		fmt.Fprintf(b, "  %s %-13s %s\n", mark, c.Name, c.Detail)
	}
}

func writeProblems(b *strings.Builder, p problems) {
	if p.Count == 0 {
		return
	}
	b.WriteString("\nProblems\n")
	for _, problem := range p.Listed {
		fmt.Fprintf(b, "  - %s\n", problem)
	}
	if more := p.Count - int64(len(p.Listed)); more > 0 {
		fmt.Fprintf(b, "  and %s more\n", group(more))
	}
}

// row writes a labelled line; an empty label continues the one before.
func row(b *strings.Builder, label, format string, args ...any) {
	fmt.Fprintf(b, "  %-11s %s\n", label, fmt.Sprintf(format, args...))
}

// group and formatMs write numbers and latencies as every report has them.
func group(n int64) string       { return result.FormatCount(n) }
func formatMs(ms float64) string { return result.FormatMs(ms) }

func trimFloat(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// statusLabel writes an HTTP status so that it cannot be taken for a count.
func statusLabel(status string) string {
	if _, err := strconv.Atoi(status); err == nil {
		return "HTTP " + status + ":"
	}
	return status + ":"
}
