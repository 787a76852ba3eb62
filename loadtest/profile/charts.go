package profile

import (
	"math"
	"time"

	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// timeline draws the rate and the 99th percentile of a measurement over time.
func timeline(title string, m *generator.Measurement) result.Chart {
	c := result.Chart{Title: title, XLabel: "s", YLabel: "events/s", Lines: []result.Line{
		{Name: "events/s"}, {Name: "p99, ms", RightAxis: true},
	}}
	for i, slice := range m.Slices {
		width := min(m.SliceWidth, m.Elapsed-time.Duration(i)*m.SliceWidth)
		if width < m.SliceWidth/2 && i > 0 {
			break // A last slice so short that its rate would mean nothing.
		}
		c.X = append(c.X, (time.Duration(i)*m.SliceWidth + width).Seconds())
		c.Lines[0].Y = append(c.Lines[0].Y, float64(slice.Events)/width.Seconds())
		p99 := math.NaN() // no answer, no latency
		if slice.Events > 0 {
			p99 = ms(slice.P99)
		}
		c.Lines[1].Y = append(c.Lines[1].Y, p99)
	}
	return c
}
