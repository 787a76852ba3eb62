// Package page is what the HTML reports share: one file that needs no other,
// with its styles, its charts by uPlot (50 kB, no dependencies, committed as
// built) and the few functions that draw them alike.
//
// A report brings a template for its content and a script that draws its
// charts. The script finds what it draws in the constant report, and the
// drawing functions in the constant charts; see assets/charts.js.
package page

import (
	"bytes"
	_ "embed" // the parts of the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"
)

var (
	//go:embed assets/uPlot.iife.min.js
	plotScript string
	//go:embed assets/uPlot.min.css
	plotStyle string
	//go:embed assets/uPlot.LICENSE
	plotLicense string
	//go:embed assets/charts.js
	chartScript string
	//go:embed assets/page.css
	pageStyle string
	//go:embed assets/page.html.tmpl
	layoutText string
)

var layout = template.Must(template.New("page").Parse(layoutText))

// Page is one report as HTML.
type Page struct {
	Title   string
	Content *template.Template // of the body, executed with Data
	Data    any
	Script  string // draws the charts; the report's own file, never of a user
	Charts  any    // becomes the script's constant report, by its JSON form
}

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	var content bytes.Buffer
	if err := p.Content.Execute(&content, p.Data); err != nil {
		return fmt.Errorf("write the content of the report: %w", err)
	}
	charts, err := json.Marshal(p.Charts)
	if err != nil {
		return fmt.Errorf("encode the charts of the report: %w", err)
	}
	// What is not escaped here is either a file of ours, or was escaped by the
	// template above, or by json.Marshal, which leaves nothing that could end a
	// script element.
	err = layout.Execute(w, map[string]any{
		"Title":       p.Title,
		"Content":     template.HTML(content.String()),
		"Charts":      template.JS(charts),
		"Script":      template.JS(p.Script),
		"PlotScript":  template.JS(plotScript),
		"PlotStyle":   template.CSS(plotStyle),
		"PageStyle":   template.CSS(pageStyle),
		"ChartScript": template.JS(chartScript),
		"License":     plotLicense,
	})
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
