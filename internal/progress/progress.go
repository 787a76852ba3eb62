// Package progress shows how far a long command is: a bar on a terminal, plain
// lines elsewhere. A display runs one goroutine until it is finished; counting
// is one atomic addition and may be done by any goroutine.
package progress

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// Display is where progress is shown. Its zero value shows nothing.
type Display struct {
	Out      io.Writer
	Terminal bool // Out is one
}

// Phase is a part of a command while it is shown.
type Phase struct {
	name string
	unit string // what is counted
	// events is the total, when a count tells how far the phase is; otherwise
	// its time does.
	events   int64
	duration time.Duration

	start time.Time
	done  atomic.Int64
	stop  chan struct{}
	idle  sync.WaitGroup
}

const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 5 * time.Second
)

// Events shows a phase that ends with a number of events.
func (d Display) Events(name string, total int64) *Phase { return d.Count(name, "events", total) }

// Count shows a phase that ends with a number of what unit says.
func (d Display) Count(name, unit string, total int64) *Phase {
	return d.show(&Phase{name: name, unit: unit, events: total})
}

// Time shows a phase that ends after a time.
func (d Display) Time(name string, total time.Duration) *Phase {
	return d.show(&Phase{name: name, duration: total})
}

// Unknown shows a phase of which nobody can say how far it is.
func (d Display) Unknown(name string) *Phase {
	return d.show(&Phase{name: name, events: unknown})
}

// unknown is the total of a bar that only shows that something is going on.
const unknown = -1

func (d Display) show(p *Phase) *Phase {
	p.start, p.stop = time.Now(), make(chan struct{})
	switch {
	case d.Out == nil || p.total() == 0:
	case d.Terminal:
		p.idle.Go(func() { p.drawBar(d.Out) })
	default:
		p.idle.Go(func() { p.writeLines(d.Out) })
	}
	return p
}

// Add counts events.
func (p *Phase) Add(n int) { p.done.Add(int64(n)) }

// Finish ends the display; nothing is written after it returns.
func (p *Phase) Finish() {
	close(p.stop)
	p.idle.Wait()
}

// total is what the bar is long: events, or milliseconds.
func (p *Phase) total() int64 {
	if p.duration > 0 {
		return p.duration.Milliseconds()
	}
	return p.events
}

func (p *Phase) reached() int64 {
	if p.duration > 0 {
		return min(time.Since(p.start).Milliseconds(), p.total())
	}
	if p.events == unknown {
		return time.Since(p.start).Milliseconds()
	}
	return min(p.done.Load(), p.total())
}

func (p *Phase) drawBar(w io.Writer) {
	options := []progressbar.Option{
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(p.name),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0), // Otherwise a goroutine of the library's draws on.
	}
	if p.events > 0 {
		options = append(options, progressbar.OptionShowCount())
	}
	bar := progressbar.NewOptions64(p.total(), options...)
	p.every(barInterval, func() {
		bar.Describe(p.name + p.rate(" "))
		_ = bar.Set64(p.reached()) // A terminal that is gone must not end the run.
	})
	_ = bar.Clear() // As above.
}

func (p *Phase) writeLines(w io.Writer) {
	p.every(lineInterval, func() {
		if p.events == unknown {
			_, _ = fmt.Fprintf(w, "%s: since %s\n", p.name, time.Since(p.start).Round(time.Second)) // As for the bar.
			return
		}
		how := fmt.Sprintf("%s of %s %s", humanize.Comma(p.done.Load()), humanize.Comma(p.events), p.unit)
		if p.duration > 0 {
			how = fmt.Sprintf("%s of %s", time.Since(p.start).Round(time.Second), p.duration)
		}
		_, _ = fmt.Fprintf(w, "%s: %s%s\n", p.name, how, p.rate(", ")) // As for the bar.
	})
}

// every calls fn at an interval until the phase is finished.
func (p *Phase) every(interval time.Duration, fn func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fn()
		case <-p.stop:
			return
		}
	}
}

// rate is the events per second so far, behind a separator; "" before the first.
func (p *Phase) rate(separator string) string {
	done := p.done.Load()
	if done == 0 {
		return ""
	}
	return separator + humanize.Comma(int64(float64(done)/time.Since(p.start).Seconds())) + "/s"
}
