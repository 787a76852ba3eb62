package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sekali/loadtest/peers/measure"
)

const (
	linesWidth  = 860.0
	linesHeight = 400.0
	linesLeft   = 64.0
	linesRight  = 210.0 // room for the names
	linesTop    = 76.0
	linesBottom = 52.0
)

// rateAt is the rate over the step that ends at a number of events.
type rateAt struct{ events, rate float64 }

func ratesOf(series []measure.Point) []rateAt {
	var rates []rateAt
	var last measure.Point
	for _, p := range series {
		if p.Seconds > last.Seconds {
			rates = append(rates, rateAt{float64(p.Events), float64(p.Events-last.Events) / (p.Seconds - last.Seconds)})
		}
		last = p
	}
	return rates
}

// Lines draws the rates of a growth run over the number of events.
func (s *Set) Lines() string {
	d := &drawing{width: linesWidth, height: linesHeight}
	title := "Events per second while it fills"
	d.text(16, 26, "start", "title", title)
	d.text(16, 48, "start", "quiet", fmt.Sprintf("rate of every %s events, %.0f %% repeats, random ids, client on the same %d cores",
		whole(float64(s.Results[0].Series[0].Events)), 100*s.Repeats, s.Machine.Cores))
	plot := s.newPlot()
	plot.axes(d)
	for i := range s.Results {
		d.add(`<polyline points="%s" class="line c%d"/>`, plot.path(ratesOf(s.Results[i].Series)), s.colour(i))
	}
	s.names(d, plot)
	return d.String(title)
}

// colour is that of Sekali, or of the others in their order.
func (s *Set) colour(i int) int {
	if s.Results[i].Family == ours {
		return 0
	}
	others := [...]int{2, 3, 4, 1}
	n := 0
	for _, r := range s.Results[:i] {
		if r.Family != ours {
			n++
		}
	}
	return others[n%len(others)]
}

// names writes each line's name beside its end, apart from each other.
func (s *Set) names(d *drawing, p plot) {
	type name struct {
		y      float64
		result int
	}
	var list []name
	for i := range s.Results {
		rates := ratesOf(s.Results[i].Series)
		list = append(list, name{p.y(rates[len(rates)-1].rate), i})
	}
	slices.SortFunc(list, func(a, b name) int { return cmp.Compare(a.y, b.y) })
	lowest := 0.0
	for _, n := range list {
		y := max(n.y, lowest+18)
		lowest = y
		x := linesWidth - linesRight + 10
		d.add(`<circle cx="%.1f" cy="%.1f" r="4" class="c%d"/>`, x+4, y, s.colour(n.result))
		d.text(x+14, y+4.5, "start", "", shortLabel(s.Results[n.result].Label))
	}
}

// shortLabel leaves out what is in brackets.
func shortLabel(label string) string {
	for i, c := range label {
		if c == '(' {
			return label[:i]
		}
	}
	return label
}

// plot turns events and rates into places.
type plot struct{ maxEvents, maxRate float64 }

func (s *Set) newPlot() plot {
	p := plot{}
	for i := range s.Results {
		for _, r := range ratesOf(s.Results[i].Series) {
			p.maxEvents, p.maxRate = max(p.maxEvents, r.events), max(p.maxRate, r.rate)
		}
	}
	return p
}

func (p plot) x(events float64) float64 {
	return linesLeft + events/p.maxEvents*(linesWidth-linesLeft-linesRight)
}

func (p plot) y(rate float64) float64 {
	return linesHeight - linesBottom - rate/p.maxRate*(linesHeight-linesTop-linesBottom)
}

func (p plot) axes(d *drawing) {
	for v, step := 0.0, niceStep(p.maxRate); v <= p.maxRate; v += step {
		d.line(p.x(0), p.y(v), p.x(p.maxEvents), p.y(v), "grid")
		d.text(p.x(0)-8, p.y(v)+4.5, "end", "quiet", short(v))
	}
	for v, step := 0.0, niceStep(p.maxEvents); v <= p.maxEvents; v += step {
		d.text(p.x(v), p.y(0)+18, "middle", "quiet", short(v))
	}
	d.text((p.x(0)+p.x(p.maxEvents))/2, p.y(0)+38, "middle", "quiet", "events sent")
}

func (p plot) path(rates []rateAt) string {
	points := make([]string, len(rates))
	for i, r := range rates {
		points[i] = fmt.Sprintf("%.1f,%.1f", p.x(r.events), p.y(r.rate))
	}
	return strings.Join(points, " ")
}
