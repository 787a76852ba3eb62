package profile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"sekali/client"
	"sekali/loadtest"
	"sekali/loadtest/proc"
	"sekali/loadtest/result"
)

// IdleOptions are the settings of Idle. It starts servers of its own, so that
// URL and Seed are not used: always one on an empty directory, and with a data
// directory another one on that.
type IdleOptions struct {
	Options
	Settle   time.Duration // from the start of a server to the measurement
	Duration time.Duration // of the measurement
}

// The goals of performance.md for a server that has nothing to do.
const (
	idleMemory = 50 // MB
	idleCPU    = 1  // percent of one core
	idleSample = 500 * time.Millisecond
)

// Idle measures what a server uses while nobody sends anything.
func Idle(ctx context.Context, o IdleOptions) (*result.Result, error) {
	began := time.Now()
	r := &result.Result{
		Profile: "idle", Title: "What a server uses that has nothing to do", Started: began, Machine: result.ThisMachine(),
		Options: []result.Option{{Name: "settle", Value: o.Settle.String()}, {Name: "duration", Value: o.Duration.String()}},
		Notes: []string{
			"CPU is a percentage of one core. The kernel counts it in steps of 10 ms.",
			"Nothing is asked of the server while it is measured: no health check, no scrape.",
		},
	}
	fresh, err := o.measure(ctx, "")
	if err != nil {
		return nil, err
	}
	r.Version = fresh.version
	r.Goals = append(r.Goals, result.Goal{Name: "idle memory, most", Figure: fresh.memory(), Unit: "MB", Target: idleMemory, AtMost: true})
	fresh.addTo(r, "")
	if o.DataDir != "" {
		filled, err := o.measure(ctx, o.DataDir)
		if err != nil {
			return nil, err
		}
		filled.addTo(r, ", filled server")
		r.Figures = append(r.Figures,
			result.Figure{Name: "memory, filled server, most", Value: filled.memory(), Unit: "MB"},
			result.Figure{Name: "stored, filled server", Value: float64(filled.events), Unit: "events"})
	}
	r.Elapsed = time.Since(began)
	return r, nil
}

// idleness is what one server used.
type idleness struct {
	version string
	events  int64 // that it has stored
	samples proc.Samples
}

// measure starts a server, leaves it alone and measures it.
func (o IdleOptions) measure(ctx context.Context, dir string) (_ idleness, err error) {
	server, err := loadtest.StartServer(ctx, loadtest.ServerOptions{Executable: o.Executable, DataDir: dir})
	if err != nil {
		return idleness{}, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	var i idleness
	if i.version, i.events, err = ask(ctx, server.URL); err != nil {
		return i, err
	}
	if err := o.wait(ctx, "settle", o.Settle); err != nil {
		return i, err
	}
	sampler := proc.Start(server.PID(), min(idleSample, o.Duration))
	err = o.wait(ctx, "measure", o.Duration)
	i.samples = sampler.Stop()
	return i, err
}

// ask returns the version and the number of events of a server. Its connection
// is closed before the measurement.
func ask(ctx context.Context, url string) (version string, events int64, err error) {
	c, err := client.New(url, client.Options{})
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	if err := c.Retry(ctx, c.Ready); err != nil {
		return "", 0, fmt.Errorf("wait until the server is ready: %w", err)
	}
	health, err := c.Health(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("ask for the version: %w", err)
	}
	stats, err := c.Stats(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("count the stored events: %w", err)
	}
	return health.Version, stats.UniqueProcessed, nil
}

func (o IdleOptions) wait(ctx context.Context, phase string, d time.Duration) error {
	defer o.Display.Time(phase, d).Finish()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// memory is the most that was resident, in MB; NaN when it is not known.
func (i idleness) memory() float64 {
	if i.samples.Err != nil {
		return math.NaN()
	}
	return float64(i.samples.MaxRSS()) / bytesPerMB
}

func (i idleness) cpu() float64 {
	if i.samples.Err != nil {
		return math.NaN()
	}
	return i.samples.CPUPercent()
}

// addTo adds what holds for a server whatever it has stored.
func (i idleness) addTo(r *result.Result, which string) {
	r.Goals = append(r.Goals, result.Goal{Name: "idle CPU" + which, Figure: i.cpu(), Unit: "%", Target: idleCPU, AtMost: true})
	if i.samples.Err != nil {
		r.Problems = append(r.Problems, i.samples.Err.Error())
		return
	}
	last := i.samples.List[len(i.samples.List)-1]
	r.Figures = append(r.Figures, result.Figure{Name: "open files" + which, Value: float64(last.Files)})
	r.Charts = append(r.Charts, i.chart("Memory and CPU"+which))
}

func (i idleness) chart(title string) result.Chart {
	c := result.Chart{
		Title: title, XLabel: "seconds", YLabel: "MB",
		Lines: []result.Line{{Name: "resident memory, MB"}, {Name: "CPU, % of a core", RightAxis: true}},
	}
	for n := 1; n < len(i.samples.List); n++ {
		before, now := i.samples.List[n-1], i.samples.List[n]
		c.X = append(c.X, now.At.Seconds())
		c.Lines[0].Y = append(c.Lines[0].Y, float64(now.RSS)/bytesPerMB)
		c.Lines[1].Y = append(c.Lines[1].Y, 100*(now.CPU-before.CPU).Seconds()/(now.At-before.At).Seconds())
	}
	return c
}
