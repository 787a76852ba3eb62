package contender

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
	"sekali/loadtest/peers/report"
)

// Options say how a peer is run.
type Options struct {
	Environment

	Plan  *events.Plan
	Dir   string        // made, and removed afterwards
	Limit time.Duration // after which no more is sent
	Step  int64         // events between two points of the series
}

// Run gives a peer the events, crashes it, and checks what it has. It returns
// figures only when everything was right.
func Run(ctx context.Context, kind Kind, o Options) (result report.Result, err error) {
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return result, err
	}
	if err := os.Mkdir(o.Dir, 0o755); err != nil { // PostgreSQL runs as another user.
		return result, err
	}
	r := &run{Options: o, kind: kind, peer: kind.start(o.Environment, kind)}
	defer func() { err = errors.Join(err, r.peer.Stop(), os.RemoveAll(o.Dir)) }()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"start", r.start},
		{"load", r.load},
		{"start after kill -9", r.restart},
		{"check", r.check},
		{"stop", r.stop},
	} {
		if err := step.do(ctx); err != nil {
			return result, fmt.Errorf("%s: %s: %w", kind.Name, step.name, err)
		}
	}
	return r.result, nil
}

// run is a run under way.
type run struct {
	Options

	kind   Kind
	peer   Peer
	empty  int64 // disk bytes before the load
	result report.Result
}

// start starts the peer on a quiet disk: what earlier runs have left in the
// page cache is written first.
func (r *run) start(ctx context.Context) error {
	syscall.Sync()
	if err := r.peer.Start(ctx, r.Dir); err != nil {
		return err
	}
	version, err := r.peer.Version(ctx)
	if err != nil {
		return fmt.Errorf("version: %w", err)
	}
	r.empty, err = measure.DiskBytes(r.Dir)
	r.result = report.Result{
		Peer: r.kind.Name, Family: r.kind.Family, Label: r.kind.Label, Unsafe: r.kind.Unsafe, Version: version,
		Settings: r.kind.Settings, Connections: r.kind.Connections, RequestEvents: r.kind.RequestEvents,
		Started: time.Now().UTC().Truncate(time.Second),
	}
	return err
}

func (r *run) load(ctx context.Context) error {
	watch, err := measure.NewWatch(r.peer.Process())
	if err != nil {
		return err
	}
	clientBefore := ownCPUSeconds()
	feed := NewFeed(r.Plan, r.kind.RequestEvents, time.Now().Add(r.Limit))
	recorder := measure.NewRecorder(r.Step)
	loadErr := r.peer.Load(ctx, feed, recorder)
	tally := recorder.Finish()
	clientSeconds := ownCPUSeconds() - clientBefore
	usage, err := watch.Stop()
	if err := errors.Join(loadErr, context.Cause(ctx), err); err != nil {
		return err
	}
	if r.peer.Process() == os.Getpid() {
		clientSeconds = 0
	}
	out := &r.result
	out.Sent, out.Stored, out.Duplicates = feed.Sent(), tally.Stored, tally.Duplicates
	out.TimedOut = out.Sent < r.Plan.Total()
	out.Seconds = tally.Series[len(tally.Series)-1].Seconds
	out.Latency, out.Series, out.Server, out.ClientCPUSeconds = tally.Latency, tally.Series, usage, clientSeconds
	return CheckAnswers(r.Plan, out.Sent, tally)
}

// restart crashes the peer and starts it again on what it has left behind.
func (r *run) restart(ctx context.Context) error {
	if err := r.peer.Crash(); err != nil {
		return err
	}
	began := time.Now()
	if err := r.peer.Start(ctx, r.Dir); err != nil {
		return err
	}
	if r.peer.Process() != os.Getpid() {
		r.result.RestartSeconds = time.Since(began).Seconds()
	}
	return nil
}

func (r *run) check(ctx context.Context) error {
	return CheckHoldings(ctx, r.Plan, r.result.Sent, r.peer)
}

func (r *run) stop(context.Context) error {
	if err := r.peer.Stop(); err != nil {
		return err
	}
	full, err := measure.DiskBytes(r.Dir)
	r.result.DiskBytes = full - r.empty
	return err
}

// ownCPUSeconds is the CPU time of this process, the load generator.
func ownCPUSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic("BUG: " + err.Error()) // It fails for wrong arguments only.
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
