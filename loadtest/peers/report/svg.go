package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// drawing is an SVG under construction. It has no background, and its colours
// follow the reader's light or dark scheme.
type drawing struct {
	body          strings.Builder
	width, height float64
}

const style = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .quiet { fill: #59636e; font-size: 12px; }
  .strong { font-weight: 600; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .whisker { stroke: #1f2328; stroke-width: 1.5; opacity: .75; }
  .c0 { fill: #0969da; stroke: #0969da; } .c1 { fill: #8c959f; stroke: #8c959f; } .c2 { fill: #bf5f00; stroke: #bf5f00; }
  .c3 { fill: #1a7f37; stroke: #1a7f37; } .c4 { fill: #8250df; stroke: #8250df; }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .unsafe { fill-opacity: .25; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; } .whisker { stroke: #e6edf3; }
    .c0 { fill: #4493f8; stroke: #4493f8; } .c1 { fill: #7d8590; stroke: #7d8590; } .c2 { fill: #e3964a; stroke: #e3964a; }
    .c3 { fill: #3fb950; stroke: #3fb950; } .c4 { fill: #ab7df8; stroke: #ab7df8; }
    .line { fill: none; }
  }
`

func (d *drawing) add(format string, args ...any) {
	_, _ = fmt.Fprintf(&d.body, "  "+format+"\n", args...)
}

// text writes at a place; anchor is start, middle or end.
func (d *drawing) text(x, y float64, anchor, class, text string) {
	d.add(`<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, html.EscapeString(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	d.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

func (d *drawing) String(title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">
  <style>%s  </style>
%s</svg>
`, d.width, d.height, d.width, d.height, html.EscapeString(title), style, d.body.String())
}

// niceStep returns a step of 1, 2 or 5 times a power of ten that divides a
// range into four to ten parts.
func niceStep(limit float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(limit)))
	switch parts := limit / step; {
	case parts < 2:
		return step / 5
	case parts < 5:
		return step / 2
	default:
		return step
	}
}

// short writes a large number as people say it.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return trimZero(v/1e6) + " M"
	case v >= 1e3:
		return trimZero(v/1e3) + "k"
	default:
		return trimZero(v)
	}
}

func trimZero(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }
