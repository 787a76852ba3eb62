package loadtest

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a phase is: a bar on a terminal, a line now and then
// elsewhere. Counting is one atomic addition.
type progress struct {
	done atomic.Int64
	stop chan struct{}
	idle sync.WaitGroup
}

const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 5 * time.Second
)

// startProgress shows a phase of total steps until finish.
func startProgress(o Options, phase string, total int64) *progress {
	p := &progress{stop: make(chan struct{})}
	if o.Progress == nil || total == 0 {
		return p
	}
	if o.Terminal {
		p.idle.Go(func() { p.drawBar(o.Progress, phase, total) })
	} else {
		p.idle.Go(func() { p.writeLines(o.Progress, phase, total) })
	}
	return p
}

func (p *progress) add(n int) { p.done.Add(int64(n)) }

// finish ends the display; nothing is written after it returns.
func (p *progress) finish() {
	close(p.stop)
	p.idle.Wait()
}

func (p *progress) drawBar(w io.Writer, phase string, total int64) {
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(phase),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
	tick := time.NewTicker(barInterval)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-tick.C:
			done := min(p.done.Load(), total)
			bar.Describe(fmt.Sprintf("%s %s/s", phase, rate(done, start)))
			_ = bar.Set64(done) // A terminal that is gone must not end the run.
		case <-p.stop:
			_ = bar.Clear() // As above.
			return
		}
	}
}

func (p *progress) writeLines(w io.Writer, phase string, total int64) {
	tick := time.NewTicker(lineInterval)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-tick.C:
			done := p.done.Load()
			_, _ = fmt.Fprintf(w, "%s: %s of %s events, %s/s\n", // As for the bar.
				phase, group(done), group(total), rate(done, start))
		case <-p.stop:
			return
		}
	}
}

// rate is the events per second since start.
func rate(done int64, start time.Time) string {
	return group(int64(float64(done) / time.Since(start).Seconds()))
}
