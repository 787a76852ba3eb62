package result

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// textColumns is the width that a terminal has at least.
const textColumns = 80

// WriteText writes the result for people, at most 80 columns wide but for wide
// tables and long words.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	r.writeGoals(&b)
	r.writeFigures(&b)
	r.writeLatencies(&b)
	for _, t := range r.Tables {
		heading(&b, t.Title)
		writeColumns(&b, append([][]string{t.Columns}, t.Rows...))
	}
	writeList(&b, "Notes", r.Notes)
	writeList(&b, "Problems", r.Problems)
	fmt.Fprintf(&b, "\n%s\n", r.Verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// Verdict sums the result up in one line.
func (r *Result) Verdict() string {
	var met int
	for _, g := range r.Goals {
		if g.Met() {
			met++
		}
	}
	goals := fmt.Sprintf("%d of %d goals met", met, len(r.Goals))
	switch {
	case len(r.Problems) == 1:
		return "FAILED: 1 problem; " + goals
	case !r.OK():
		return "FAILED: " + FormatCount(int64(len(r.Problems))) + " problems; " + goals
	case len(r.Goals) == 0:
		return "OK: nothing was wrong"
	default:
		return "OK: nothing was wrong; " + goals
	}
}

func (r *Result) writeHead(b *strings.Builder) {
	wrap(b, "", "Load test "+r.Profile+": "+r.Title)
	b.WriteString("\n")
	const label = "  %-10s"
	wrap(b, fmt.Sprintf(label, "server"), "sekali "+r.Version)
	wrap(b, fmt.Sprintf(label, "started"), fmt.Sprintf("%s, took %s", r.Started.UTC().Format(time.DateTime+" UTC"), r.Elapsed.Round(time.Second/10)))
	for i, line := range r.Machine.Lines() {
		wrap(b, fmt.Sprintf(label, []string{"machine", ""}[min(i, 1)]), line)
	}
	if len(r.Options) > 0 {
		wrap(b, fmt.Sprintf(label, "options"), r.optionText())
	}
}

func (r *Result) optionText() string {
	var options []string
	for _, o := range r.Options {
		options = append(options, o.Name+" "+o.Value)
	}
	return strings.Join(options, ", ")
}

func (r *Result) writeGoals(b *strings.Builder) {
	if len(r.Goals) == 0 {
		return
	}
	heading(b, "Goals")
	var rows [][]string
	for _, g := range r.Goals {
		rows = append(rows, []string{fmt.Sprintf("%-6s", MetWord(g.Met())), g.Name, g.Format(), "(goal " + g.FormatTarget() + ")"})
	}
	lines := columns(rows, []bool{false, false, true, false})
	for i, g := range r.Goals {
		b.WriteString(lines[i])
		if g.Base != "" {
			wrap(b, strings.Repeat(" ", len("  missed  ")), g.Base)
		}
	}
}

// MetWord is "met" or "missed".
func MetWord(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func (r *Result) writeFigures(b *strings.Builder) {
	if len(r.Figures) == 0 {
		return
	}
	heading(b, "Figures")
	var rows [][]string
	for _, f := range r.Figures {
		rows = append(rows, []string{f.Name, FormatNumber(f.Value), f.Unit})
	}
	b.WriteString(strings.Join(columns(rows, []bool{false, true, false}), ""))
}

func (r *Result) writeLatencies(b *strings.Builder) {
	if len(r.Latencies) == 0 {
		return
	}
	heading(b, "Latency")
	rows := [][]string{{"", "count", "p50", "p90", "p99", "p99.9", "max"}}
	for _, l := range r.Latencies {
		rows = append(rows, append([]string{l.Name}, l.cells()...))
	}
	writeColumns(b, rows)
}

// cells are the count and the percentiles as they are written.
func (l Latency) cells() []string {
	cells := []string{FormatCount(l.Count)}
	for _, d := range []time.Duration{l.P50, l.P90, l.P99, l.P999, l.Max} {
		cells = append(cells, FormatDuration(d))
	}
	return cells
}

func heading(b *strings.Builder, title string) { fmt.Fprintf(b, "\n%s\n", title) }

func writeList(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	heading(b, title)
	for _, line := range lines {
		wrap(b, "  - ", line)
	}
}

// wrap writes text behind a prefix, in lines of textColumns at most; the
// further ones are indented by the prefix's width.
func wrap(b *strings.Builder, prefix, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(prefix))
	line := prefix
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textColumns {
			b.WriteString(line + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}
