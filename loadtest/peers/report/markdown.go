package report

import (
	"fmt"
	"io"
	"strings"
)

// Names of the files that a report consists of, beside its text.
const (
	RawFile       = "peers.json"
	ChartFile     = "peers.svg"
	GrowthRawFile = "peers-growth.json"
	GrowthFile    = "peers-growth.svg"
)

// WriteMarkdown writes the report of a comparison and of a growth run; either
// may be nil. The files are looked for in the folder, "" or with a slash at its
// end.
func WriteMarkdown(w io.Writer, comparison, growth *Set, folder string) {
	if comparison != nil {
		writeComparison(w, comparison, folder)
	}
	if growth != nil {
		writeGrowth(w, growth, folder)
	}
}

func writeComparison(w io.Writer, s *Set, folder string) {
	rows := s.Rows()
	shown, others := best(rows)
	_, _ = fmt.Fprintf(w, "%s\n\n![Events per second of each peer](%s)\n\n", s.setUp(), folder+ChartFile)
	writeTable(w, shown)
	for _, row := range others {
		_, _ = fmt.Fprintf(w, "\n%s is left out of the table because it was slower: %s events/s, p99 %s.\n",
			row.Label, row.cell(rate), row.cell(p99))
	}
	_, _ = fmt.Fprint(w, "\n### Where we lose\n\n")
	writeLosses(w, rows)
	_, _ = fmt.Fprint(w, "\n### Versions and settings\n\n")
	for _, row := range rows {
		_, _ = fmt.Fprintf(w, "- **%s**: %s; %s.\n", row.Label, row.Version, strings.Join(s.settings(&row), "; "))
	}
	_, _ = fmt.Fprintf(w, "\nRaw results of every run: [%s](%s).\n", RawFile, folder+RawFile)
}

// settings are the peer's, with those that the load had.
func (s *Set) settings(r *Row) []string {
	connections := "1 connection"
	if r.Connections > 1 {
		connections = fmt.Sprintf("%d connections", r.Connections)
	}
	for i := range s.Trials {
		if s.Trials[i].Peer == r.Peer {
			connections += " (" + s.Trials[i].describe() + ")"
		}
	}
	return append([]string{connections, eventCount(r.RequestEvents) + " a request"}, r.Settings...)
}

func (t *Trial) describe() string {
	var tried []string
	for _, r := range t.Rates {
		tried = append(tried, fmt.Sprintf("%d: %s/s", r.Connections, whole(r.EventsPerSecond)))
	}
	return "the best in a short trial before, " + strings.Join(tried, ", ")
}

// setUp says what was run, and where.
func (s *Set) setUp() string {
	runs := 0
	for i := range s.Results {
		runs = max(runs, s.Results[i].Round)
	}
	times := "once"
	if runs > 1 {
		times = fmt.Sprintf("%d times, in rounds over all of them; the figures are medians, in brackets the slowest and the fastest run", runs)
	}
	m := s.Machine
	return fmt.Sprintf("%s events of %d bytes on average in %d topics, %.0f %% of them repeats (half of those of one of the last %s events, half of any), seed %d; "+
		"each peer ran %s. Sekali is of commit %s.\n\nMachine: %d cores (%s), %d GiB, %s, Linux %s, %s; the client, built with Go %s, ran on the same cores.",
		whole(float64(s.Events)), s.EventBytes, s.Topics, 100*s.Repeats, whole(float64(s.Nearby)), s.Seed, times, s.Commit,
		m.Cores, m.CPU, m.MemoryGiB, m.OS, m.Kernel, m.FileSystem, strings.TrimPrefix(m.Go, "go"))
}

func writeTable(w io.Writer, rows []Row) {
	_, _ = fmt.Fprint(w, "| | events a request |")
	for _, m := range metrics {
		_, _ = fmt.Fprintf(w, " %s |", m.name)
	}
	_, _ = fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(metrics)+1))
	for _, row := range rows {
		_, _ = fmt.Fprintf(w, "| %s | %s |", row.name(), whole(float64(row.RequestEvents)))
		for _, m := range metrics {
			_, _ = fmt.Fprintf(w, " %s |", row.cell(m))
		}
		_, _ = fmt.Fprintln(w)
	}
	writeFootnotes(w, rows)
}

func (r *Row) name() string {
	name := r.Label
	if r.Family == ours {
		name = "**" + name + "**"
	}
	if r.TimedOut {
		name += " (time ran out)"
	}
	return name
}

func (r *Row) cell(m *metric) string {
	v, ok := r.Values[m]
	if !ok {
		return "-"
	}
	text := m.format(v.Median)
	if m == rate && r.Runs > 1 {
		text += fmt.Sprintf(" (%s to %s)", m.format(v.Min), m.format(v.Max))
	}
	return text
}

func writeFootnotes(w io.Writer, rows []Row) {
	for _, row := range rows {
		if row.Unsafe != "" {
			_, _ = fmt.Fprintf(w, "\n%s: %s, so an answer does not mean that the event is on the disk.\n", row.Label, row.Unsafe)
		}
		if row.TimedOut {
			_, _ = fmt.Fprintf(w, "\n%s: its time was up after %s of the events; the figures and the check are about those.\n", row.Label, whole(float64(row.Sent)))
		}
		if _, ok := row.Values[ready]; !ok {
			_, _ = fmt.Fprintf(w, "\n%s: its CPU time and memory are those of the client, too.\n", row.Label)
		}
	}
}

func writeGrowth(w io.Writer, s *Set, folder string) {
	_, _ = fmt.Fprintf(w, "\n### As it fills\n\n%s\n\n![Events per second while each peer fills](%s)\n\n", s.setUp(), folder+GrowthFile)
	_, _ = fmt.Fprint(w, "| | first | last | last of first | p99 | peak memory | disk per stored event |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for i := range s.Results {
		r := &s.Results[i]
		rates := ratesOf(r.Series)
		first, last := rates[0].rate, rates[len(rates)-1].rate
		row := newRow([]*Result{r})
		_, _ = fmt.Fprintf(w, "| %s | %s/s | %s/s | %.2f | %s | %s | %s |\n", row.name(), whole(first), whole(last), last/first,
			row.cell(p99), row.cell(memory), row.cell(disk))
	}
	_, _ = fmt.Fprintf(w, "\n\"First\" and \"last\" are the rates of the first and the last %s events.", whole(float64(s.Results[0].Series[0].Events)))
	_, _ = fmt.Fprintf(w, " Raw results: [%s](%s).\n", GrowthRawFile, folder+GrowthRawFile)
}
