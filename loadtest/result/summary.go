package result

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Summary is what many runs say about each goal.
type Summary struct {
	Goals    []GoalSummary `json:"goals"`
	Notes    []string      `json:"notes"`    // why runs may not be comparable
	Problems []string      `json:"problems"` // of any run
}

// GoalSummary is what the runs of one profile say about one of its goals.
type GoalSummary struct {
	Profile string `json:"profile"`
	// Goal has the median of the figures, and the base of the run in the middle.
	Goal    Goal      `json:"goal"`
	Figures []float64 `json:"figures"` // ascending
	Runs    int       `json:"runs"`    // that have this goal, also those without a figure
	Met     int       `json:"met"`     // of them
}

// OK reports that nothing was wrong in any run.
func (s *Summary) OK() bool { return len(s.Problems) == 0 }

// Summarize sums up runs of any profiles. Goals stand in the order in which the
// runs have them.
func Summarize(runs []*Result) *Summary {
	s := &Summary{}
	goals := make(map[[2]string][]Goal)
	var order [][2]string
	for _, r := range runs {
		for _, g := range r.Goals {
			key := [2]string{r.Profile, g.Name}
			if goals[key] == nil {
				order = append(order, key)
			}
			goals[key] = append(goals[key], g)
		}
		for _, problem := range r.Problems {
			s.Problems = append(s.Problems, r.Profile+": "+problem)
		}
	}
	for _, key := range order {
		s.Goals = append(s.Goals, summarizeGoal(key[0], goals[key]))
	}
	s.Notes = differences(runs)
	return s
}

func summarizeGoal(profile string, runs []Goal) GoalSummary {
	g := GoalSummary{Profile: profile, Runs: len(runs)}
	var known []Goal
	for _, run := range runs {
		if run.Met() {
			g.Met++
		}
		if finite(run.Figure) {
			known = append(known, run)
		}
	}
	if len(known) == 0 {
		g.Goal = runs[0]
		return g
	}
	slices.SortStableFunc(known, func(a, b Goal) int { return cmp.Compare(a.Figure, b.Figure) })
	for _, run := range known {
		g.Figures = append(g.Figures, run.Figure)
	}
	g.Goal = known[(len(known)-1)/2]
	g.Goal.Figure = Median(g.Figures)
	return g
}

// differences says what runs that are summed up do not have in common.
func differences(runs []*Result) []string {
	var notes []string
	versions, machines := make(map[string]bool), make(map[string]bool)
	options := make(map[string]map[string]bool)
	for _, r := range runs {
		versions[r.Version] = true
		machines[strings.Join(r.Machine.Lines(), ", ")] = true
		if options[r.Profile] == nil {
			options[r.Profile] = make(map[string]bool)
		}
		options[r.Profile][r.optionText()] = true
	}
	if len(versions) > 1 {
		notes = append(notes, "The runs are of different versions: "+list(versions)+".")
	}
	if len(machines) > 1 {
		notes = append(notes, "The runs are of different machines: "+list(machines)+".")
	}
	for _, profile := range sortedKeys(options) {
		if len(options[profile]) > 1 {
			notes = append(notes, fmt.Sprintf("The runs of %s have different options: %s.", profile, list(options[profile])))
		}
	}
	return notes
}

func list(set map[string]bool) string { return strings.Join(sortedKeys(set), "; ") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Spread writes the lowest and the highest figure.
func (g *GoalSummary) Spread() string {
	if len(g.Figures) == 0 {
		return "-"
	}
	return FormatNumber(g.Figures[0]) + " - " + FormatNumber(g.Figures[len(g.Figures)-1])
}

// MetOf writes how many of the runs met the goal.
func (g *GoalSummary) MetOf() string { return fmt.Sprintf("%d of %d", g.Met, g.Runs) }

// WriteJSON writes the summary as indented JSON.
func (s *Summary) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("write the summary as JSON: %w", err)
	}
	return nil
}

// WriteText writes the summary for people; the base of a ratio stands below it.
func (s *Summary) WriteText(w io.Writer) error {
	rows := [][]string{{"profile", "goal", "target", "median", "spread", "met"}}
	for i := range s.Goals {
		g := &s.Goals[i]
		rows = append(rows, []string{g.Profile, g.Goal.Name, g.Goal.FormatTarget(), g.Goal.Format(), g.Spread(), g.MetOf()})
	}
	lines := columns(rows, []bool{false, false, true, true, true, false})
	var b strings.Builder
	b.WriteString(lines[0])
	for i, line := range lines[1:] {
		b.WriteString(line)
		if base := s.Goals[i].Goal.Base; base != "" {
			wrap(&b, "      ", base)
		}
	}
	writeList(&b, "Notes", s.Notes)
	writeList(&b, "Problems", s.Problems)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes the summary as a table for a document.
func (s *Summary) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Profile | Goal | Target | Median | Spread | Met | Measured against |\n|---|---|--:|--:|--:|--:|---|\n")
	for i := range s.Goals {
		g := &s.Goals[i]
		cells := []string{"`" + g.Profile + "`", g.Goal.Name, g.Goal.FormatTarget(), g.Goal.Format(), g.Spread(), g.MetOf(), g.Goal.Base}
		for _, cell := range cells {
			fmt.Fprintf(&b, "| %s ", markdown.Replace(cell))
		}
		b.WriteString("|\n")
	}
	for _, lines := range [][]string{s.Notes, s.Problems} {
		if len(lines) > 0 {
			b.WriteString("\n")
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "- %s\n", markdown.Replace(line))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown escapes what would end a cell or begin something else.
var markdown = strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "\n", " ")
