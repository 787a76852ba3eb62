package report

import (
	"cmp"
	"slices"
)

// Spread is what several runs of one peer measured.
type Spread struct{ Median, Min, Max float64 }

func spreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}

// overlaps says that the two cannot be told apart by every run.
func (s Spread) overlaps(other Spread) bool { return s.Min <= other.Max && other.Min <= s.Max }

// Row is one peer over all of its runs.
type Row struct {
	*Result // its first one, for what is the same in all

	Runs     int
	TimedOut bool // any of them
	Values   map[*metric]Spread
}

// Rows sums the results up, the fastest peer first.
func (s *Set) Rows() []Row {
	byPeer := map[string][]*Result{}
	var order []string
	for i := range s.Results {
		name := s.Results[i].Peer
		if byPeer[name] == nil {
			order = append(order, name)
		}
		byPeer[name] = append(byPeer[name], &s.Results[i])
	}
	var rows []Row
	for _, name := range order {
		rows = append(rows, newRow(byPeer[name]))
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(b.Values[rate].Median, a.Values[rate].Median) })
	return rows
}

func newRow(results []*Result) Row {
	row := Row{Result: results[0], Runs: len(results), Values: map[*metric]Spread{}}
	for _, r := range results {
		row.TimedOut = row.TimedOut || r.TimedOut
	}
	for _, m := range metrics {
		var values []float64
		for _, r := range results {
			if v, ok := m.value(r); ok {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			row.Values[m] = spreadOf(values)
		}
	}
	return row
}

// best splits rows, which are in order of speed, into the fastest of each
// family and the others.
func best(rows []Row) (shown, others []Row) {
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row.Family] {
			others = append(others, row)
			continue
		}
		seen[row.Family] = true
		shown = append(shown, row)
	}
	return shown, others
}
