package loadtest

import (
	_ "embed" // the parts of the HTML report
	"encoding/json"
	"fmt"
	"html/template"
	"io"
)

var (
	//go:embed assets/uPlot.iife.min.js
	chartScript string
	//go:embed assets/uPlot.min.css
	chartStyle string
	//go:embed assets/uPlot.LICENSE
	chartLicense string
	//go:embed assets/report.js
	reportScript string
	//go:embed assets/report.css
	reportStyle string
	//go:embed assets/report.html.tmpl
	reportPage string
)

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"group": group, "ms": formatMs, "batches": batchText, "problems": countProblems,
	"count":   func(n int) string { return group(int64(n)) },
	"percent": func(share float64) string { return trimFloat(100 * share) },
	"whole":   func(x float64) string { return group(int64(x)) },
}).Parse(reportPage))

// WriteHTML writes the report as one HTML file that needs no other.
func (r *Report) WriteHTML(w io.Writer) error {
	data, err := json.Marshal(map[string]any{
		"histogram": r.Histogram, "percentiles": r.Percentiles, "timeline": r.Timeline,
	})
	if err != nil {
		return fmt.Errorf("encode the charts: %w", err)
	}
	// The scripts and styles are this package's own files; json.Marshal escapes
	// what could end a script element.
	err = reportTemplate.Execute(w, map[string]any{
		"Report":       r,
		"Data":         template.JS(data),
		"ChartScript":  template.JS(chartScript),
		"ChartStyle":   template.CSS(chartStyle),
		"ReportScript": template.JS(reportScript),
		"ReportStyle":  template.CSS(reportStyle),
		"License":      chartLicense,
	})
	if err != nil {
		return fmt.Errorf("write the HTML report: %w", err)
	}
	return nil
}
