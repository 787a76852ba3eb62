package result

import (
	_ "embed" // the parts of the HTML page
	"html/template"
	"io"
	"time"

	"sekali/loadtest/page"
)

var (
	//go:embed assets/result.js
	pageScript string
	//go:embed assets/result.html.tmpl
	pageContent string
)

var contentTemplate = template.Must(template.New("result").Funcs(template.FuncMap{
	"number": FormatNumber, "metWord": MetWord,
	"numeric":  func(t Table) []bool { return numeric(t.Rows) },
	"cells":    Latency.cells,
	"duration": func(d time.Duration) string { return d.Round(time.Second / 10).String() },
}).Parse(pageContent))

// WriteHTML writes the result as one HTML page with charts that needs no other
// file.
func (r *Result) WriteHTML(w io.Writer) error {
	return page.Page{
		Title: "Sekali load test " + r.Profile, Content: contentTemplate, Data: r,
		Script: pageScript, Charts: r.Charts,
	}.Write(w)
}
