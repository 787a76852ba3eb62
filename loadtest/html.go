package loadtest

import (
	_ "embed" // the parts of the HTML report
	"html/template"
	"io"

	"sekali/loadtest/page"
)

var (
	//go:embed assets/report.js
	reportScript string
	//go:embed assets/report.html.tmpl
	reportContent string
)

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"group": group, "ms": formatMs, "batches": batchText, "problems": countProblems,
	"count":   func(n int) string { return group(int64(n)) },
	"percent": func(share float64) string { return trimFloat(100 * share) },
	"whole":   func(x float64) string { return group(int64(x)) },
}).Parse(reportContent))

// WriteHTML writes the report as one HTML file that needs no other.
func (r *Report) WriteHTML(w io.Writer) error {
	return page.Page{
		Title: "Sekali load test " + r.RunID, Content: reportTemplate, Data: r, Script: reportScript,
		Charts: map[string]any{"histogram": r.Histogram, "percentiles": r.Percentiles, "timeline": r.Timeline},
	}.Write(w)
}
