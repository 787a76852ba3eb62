package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"sekali/loadtest/peers/contender"
	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
	"sekali/loadtest/peers/report"
)

const (
	growing    = "sekali,postgres-100,sqlite" // the peers of a growth run
	growthStep = 500_000
)

// rounds are the runs of one command.
type rounds struct {
	*options

	args           []string // of the command, passed on to the process of each run
	kinds          []contender.Kind
	set            *report.Set
	stdout, stderr io.Writer
}

// runRounds does all runs and writes the report.
func runRounds(ctx context.Context, o *options, args []string, stdout, stderr io.Writer) error {
	kinds, err := contender.Choose(o.peers)
	if err != nil {
		return err
	}
	r := &rounds{options: o, args: args, kinds: kinds, stdout: stdout, stderr: stderr}
	if err := r.inWorkDir(ctx); err != nil {
		return err
	}
	return publish(o, stdout)
}

// inWorkDir does all runs in a new directory.
func (r *rounds) inWorkDir(ctx context.Context) (err error) {
	if r.work, err = os.MkdirTemp(r.work, "sekali-peers-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if err := os.Chmod(r.work, 0o755); err != nil { // PostgreSQL runs as another user.
		return err
	}
	if r.set, err = newSet(ctx, r.options); err != nil {
		return err
	}
	if r.connections == 0 {
		if err := r.try(ctx); err != nil {
			return err
		}
	}
	return r.all(ctx)
}

// all runs every peer once, then every peer again, so that a machine that
// becomes slower or faster meanwhile does so for all.
func (r *rounds) all(ctx context.Context) error {
	p := progress{out: r.stdout, total: r.runs * len(r.kinds)}
	for round := range r.runs {
		for _, kind := range r.kinds {
			p.begin(kind.Label)
			result, err := r.startSingle(ctx, kind, r.chosenConnections(kind)...)
			if err != nil {
				return err
			}
			result.Round = round + 1
			r.set.Results = append(r.set.Results, *result)
			p.end(result)
			if err := save(r.options, r.set); err != nil {
				return err
			}
		}
	}
	return nil
}

// newSet describes the command. It refuses a directory in memory, where an
// fsync costs nothing.
func newSet(ctx context.Context, o *options) (*report.Set, error) {
	machine, err := measure.ThisMachine(o.work)
	if err != nil {
		return nil, err
	}
	if machine.FileSystem == "tmpfs" || machine.FileSystem == "ramfs" {
		return nil, fmt.Errorf("%s is in memory (%s); choose a directory on a disk with -work", o.work, machine.FileSystem)
	}
	plan, err := o.plan()
	if err != nil {
		return nil, err
	}
	return &report.Set{
		Machine: machine, Commit: commit(ctx), Seed: o.seed,
		Events: o.events, EventBytes: plan.AverageBytes(), Topics: len(events.Topics),
		Repeats: o.repeats, Nearby: events.Nearby, Growth: o.growth > 0,
	}, nil
}

// commit names the state of the tree, or "unknown" outside of one. The pages
// that this command writes do not make it another one.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	if exec.CommandContext(ctx, "git", "diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)docs").Run() != nil {
		name += ", changed"
	}
	return name
}

// startSingle runs this program for one run of a peer and returns its result.
// The changes replace arguments of the command.
func (r *rounds) startSingle(ctx context.Context, kind contender.Kind, changes ...string) (*report.Result, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(r.work, "result.json")
	// The last one of equal flags holds.
	args := slices.Concat(r.args, changes, []string{"-single", kind.Name, "-work", r.work, "-result", file})
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = r.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // It ends its server first.
	cmd.WaitDelay = time.Minute
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the run of %s failed: %w", kind.Name, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var result report.Result
	if err := json.Unmarshal(text, &result); err != nil {
		return nil, fmt.Errorf("read the result of %s: %w", kind.Name, err)
	}
	return &result, os.Remove(file)
}

// progress says what is going on, a line a run.
type progress struct {
	out         io.Writer
	done, total int
}

func (p *progress) begin(label string) {
	p.done++
	_, _ = fmt.Fprintf(p.out, "[%d/%d] %s ... ", p.done, p.total, label)
}

func (p *progress) end(r *report.Result) {
	late := ""
	if r.TimedOut {
		late = fmt.Sprintf(" (time is up: %s events)", humanize.Comma(int64(r.Sent)))
	}
	_, _ = fmt.Fprintf(p.out, "%s events/s, p99 %.1f ms, all there after kill -9%s\n", humanize.Comma(int64(r.Rate())), r.Latency.P99, late)
}
