package report

import "fmt"

const (
	barsWidth  = 860.0
	barsLeft   = 290.0 // room for the names
	barsRight  = 90.0  // room for the last figure
	barsTop    = 76.0
	barsPitch  = 42.0
	barsHeight = 24.0
)

// Bars draws the rates of a comparison: a bar for the median, a line from the
// slowest run to the fastest.
func (s *Set) Bars() string {
	rows, _ := best(s.Rows())
	d := &drawing{width: barsWidth, height: barsTop + barsPitch*float64(len(rows)) + 36}
	title := "Events stored once, per second"
	d.text(16, 26, "start", "title", title)
	d.text(16, 48, "start", "quiet", fmt.Sprintf("%s events, %.0f %% repeats, client on the same %d cores; pale bars do not wait for the disk",
		whole(float64(s.Events)), 100*s.Repeats, s.Machine.Cores))
	limit := 0.0
	for _, row := range rows {
		limit = max(limit, row.Values[rate].Max)
	}
	scale := (barsWidth - barsLeft - barsRight) / limit
	bottom := barsTop + barsPitch*float64(len(rows))
	step := niceStep(limit)
	for v := 0.0; v <= limit; v += step {
		x := barsLeft + v*scale
		d.line(x, barsTop-8, x, bottom, "grid")
		d.text(x, bottom+18, "middle", "quiet", short(v))
	}
	for i, row := range rows {
		d.bar(row, barsTop+barsPitch*float64(i), scale)
	}
	return d.String(title)
}

func (d *drawing) bar(row Row, y, scale float64) {
	r := row.Values[rate]
	class, weight := "c1", ""
	if row.Family == ours {
		class, weight = "c0", "strong"
	}
	if row.Unsafe != "" {
		class += " unsafe"
	}
	middle := y + barsHeight/2
	d.text(barsLeft-12, middle+4.5, "end", weight, row.Label)
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="3" class="%s"/>`, barsLeft, y, r.Median*scale, barsHeight, class)
	if r.Max > r.Min {
		d.line(barsLeft+r.Min*scale, middle, barsLeft+r.Max*scale, middle, "whisker")
	}
	d.text(barsLeft+r.Max*scale+10, middle+4.5, "start", weight, whole(r.Median))
}
