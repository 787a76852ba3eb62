package loadtest

import "fmt"

// maxListed is how many problems a report lists; the rest is counted.
const maxListed = 20

// problems collects what did not match.
type problems struct {
	Count  int64    `json:"count"`
	Listed []string `json:"listed"` // the first ones
}

func (p *problems) addf(format string, args ...any) {
	p.Count++
	if len(p.Listed) < maxListed {
		p.Listed = append(p.Listed, fmt.Sprintf(format, args...))
	}
}

// countProblems names n problems.
func countProblems(n int64) string {
	if n == 1 {
		return "1 problem"
	}
	return group(n) + " problems"
}
