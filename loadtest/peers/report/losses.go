package report

import (
	"fmt"
	"io"
	"strings"
)

const ours = "sekali"

// loss is a column in which others are better than Sekali.
type loss struct {
	metric *metric
	ours   Spread
	better []Row
}

// losses compares every row with Sekali's, column by column.
func losses(rows []Row) []loss {
	var found []loss
	sekali := rowOf(rows, ours)
	if sekali == nil {
		return nil
	}
	for _, m := range metrics {
		mine, measured := sekali.Values[m]
		l := loss{metric: m, ours: mine}
		for _, row := range rows {
			theirs, has := row.Values[m]
			if measured && has && row.Family != ours && m.beats(theirs, mine) {
				l.better = append(l.better, row)
			}
		}
		if len(l.better) > 0 {
			found = append(found, l)
		}
	}
	return found
}

func rowOf(rows []Row, family string) *Row {
	for i := range rows {
		if rows[i].Family == family {
			return &rows[i]
		}
	}
	return nil
}

func (m *metric) beats(theirs, mine Spread) bool {
	if m.moreIsGood {
		return theirs.Median > mine.Median
	}
	return theirs.Median < mine.Median
}

func writeLosses(w io.Writer, rows []Row) {
	sekali := rowOf(rows, ours)
	if sekali == nil {
		return
	}
	found := losses(rows)
	if len(found) == 0 {
		_, _ = fmt.Fprint(w, "In none of these columns is another one better.\n")
		return
	}
	for _, l := range found {
		var parts []string
		for _, row := range l.better {
			parts = append(parts, l.describe(row, sekali))
		}
		_, _ = fmt.Fprintf(w, "- **%s** (Sekali %s): %s.\n", l.metric.name, l.metric.format(l.ours.Median), strings.Join(parts, "; "))
	}
}

// describe names the one that is better, and what is to be known of it.
func (l *loss) describe(row Row, sekali *Row) string {
	theirs := row.Values[l.metric]
	var notes []string
	if l.metric.perRequest && row.RequestEvents != sekali.RequestEvents {
		notes = append(notes, fmt.Sprintf("for %s, ours for %s", eventCount(row.RequestEvents), eventCount(sekali.RequestEvents)))
	}
	if row.Unsafe != "" {
		notes = append(notes, row.Unsafe)
	}
	if theirs.overlaps(l.ours) && row.Runs > 1 {
		notes = append(notes, "their runs and ours overlap")
	}
	text := row.Label + " " + l.metric.format(theirs.Median)
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, "; ") + ")"
	}
	return text
}

func eventCount(n int) string {
	if n == 1 {
		return "1 event"
	}
	return whole(float64(n)) + " events"
}
