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

// runRounds runs every peer once, then every peer again, so that a machine that
// becomes slower or faster meanwhile does so for all.
func runRounds(ctx context.Context, o *options, args []string, stdout, stderr io.Writer) (err error) {
	kinds, err := contender.Choose(o.peers)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(o.work, "sekali-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := os.Chmod(work, 0o755); err != nil { // PostgreSQL runs as another user.
		return err
	}
	set, err := newSet(ctx, o, work)
	if err != nil {
		return err
	}
	p := progress{out: stdout, total: o.runs * len(kinds)}
	for round := range o.runs {
		for _, kind := range kinds {
			p.begin(kind.Label)
			result, err := startSingle(ctx, work, kind.Name, args, stderr)
			if err != nil {
				return err
			}
			result.Round = round + 1
			set.Results = append(set.Results, *result)
			p.end(result)
			if err := save(o, set); err != nil {
				return err
			}
		}
	}
	return publish(o, stdout)
}

// newSet describes the command. It refuses a directory in memory, where an
// fsync costs nothing.
func newSet(ctx context.Context, o *options, work string) (*report.Set, error) {
	machine, err := measure.ThisMachine(work)
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

// startSingle runs this program for one run and returns its result.
func startSingle(ctx context.Context, work, name string, args []string, stderr io.Writer) (*report.Result, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "result.json")
	cmd := exec.CommandContext(ctx, program, append(args, "-single", name, "-work", work, "-result", file)...)
	cmd.Stderr = stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // It ends its server first.
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the run of %s failed: %w", name, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var result report.Result
	if err := json.Unmarshal(text, &result); err != nil {
		return nil, fmt.Errorf("read the result of %s: %w", name, err)
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
