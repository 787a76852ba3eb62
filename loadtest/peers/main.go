// Command peers gives the same events to Sekali and to what else one could
// store events once with, on this machine, and writes down how each did.
//
// Every run is a process of its own, so that no peer inherits another's heap
// and a client's CPU time is one run's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sekali/loadtest/peers/contender"
	"sekali/loadtest/peers/events"
)

func main() {
	// A reader of the output that goes away ends the command in good order, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are what the command line says.
type options struct {
	events, runs, growth int
	repeats              float64
	seed                 uint64
	connections          int
	peers                string
	limit                time.Duration

	programs  contender.Environment
	work, out string
	docs      string
	render    bool

	single, result string // of the process of one run
}

func parse(args []string, stderr io.Writer) (*options, error) {
	var o options
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.events, "events", 1_000_000, "events of a run")
	f.IntVar(&o.runs, "runs", 3, "runs of each peer, in rounds")
	f.IntVar(&o.growth, "growth", 0, "instead, one run of this many events for those that are to be seen growing: "+growing)
	f.Float64Var(&o.repeats, "repeats", 0.1, "share of the events that repeat an earlier one")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the events")
	f.StringVar(&o.peers, "peers", "all", "names of peers, with commas")
	f.IntVar(&o.connections, "connections", 0, "connections of the peers that use several; 0 is what is best for each in a short trial before")
	f.DurationVar(&o.limit, "limit", 5*time.Minute, "time after which a run sends no more; a growth run has three times as long")
	f.StringVar(&o.programs.Sekali, "sekali", "bin/sekali", "the sekali binary")
	f.StringVar(&o.programs.NATS, "nats", "nats-server", "the nats-server binary")
	f.StringVar(&o.work, "work", os.TempDir(), "directory for the data of runs, on a real disk")
	f.StringVar(&o.out, "out", "bench-results/peers", "directory for raw results, report and charts")
	f.StringVar(&o.docs, "docs", "", "a page to write the report into, and the raw results and charts beside it")
	f.BoolVar(&o.render, "render", false, "run nothing: write the report of the results that are in -out")
	f.StringVar(&o.single, "single", "", "run this peer once, for a process that was started by this command")
	f.StringVar(&o.result, "result", "", "where the result of -single goes")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || o.runs < 1 {
		return nil, fmt.Errorf("no arguments are expected, and at least one run; see -help")
	}
	o.programs.Sekali, o.programs.NATS = located(o.programs.Sekali), located(o.programs.NATS)
	if o.growth > 0 {
		o.events, o.runs, o.limit = o.growth, 1, 3*o.limit
		if o.peers == "all" {
			o.peers = growing
		}
	}
	return &o, nil
}

// located returns the absolute path of a program, because servers are started
// in other directories; a program that is not there keeps its name, and starting
// it says so.
func located(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		program = path
	}
	if path, err := filepath.Abs(program); err == nil && strings.ContainsRune(program, filepath.Separator) {
		program = path
	}
	return program
}

// run does what the arguments say and returns the exit status: 0 done, 1 failed,
// 2 wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "peers:", err)
		return 2
	}
	switch {
	case o.single != "":
		err = runSingle(ctx, o)
	case o.render:
		err = publish(o, stdout)
	default:
		err = runRounds(ctx, o, args, stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	return 0
}

// step is how many events lie between two points of a series.
func (o *options) step() int64 {
	if o.growth > 0 {
		return growthStep
	}
	return max(1, int64(o.events)/20)
}

func (o *options) plan() (*events.Plan, error) { return events.NewPlan(o.seed, o.events, o.repeats) }
