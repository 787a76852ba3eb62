package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sekali/loadtest/ceiling"
	"sekali/loadtest/profile"
	"sekali/loadtest/result"
)

func newRestartCommand() *cobra.Command {
	var o profile.RestartOptions
	cmd, p := newProfileCommand("restart", "Measure how long a server takes to be ready again",
		`Stop a server that has events stored, cleanly and by kill -9 under load, start it
again, and measure the time until it is ready and has stored an event. After each
start, what was acknowledged before is sent again: all of it must be known, by
its seq.

It starts its own servers, on a temporary data directory or on that of
--keep-data, such as 'loadtest growth' leaves behind. The directory is filled up
to --events first.`,
		`  sekali loadtest restart
  sekali loadtest restart --keep-data /var/tmp/filled --events 20000000`)
	f := cmd.Flags()
	p.intVar(f, &o.Events, "events", 1_000_000, maxEvents, "how many events are stored before the first restart")
	p.intVar(f, &o.Rounds, "rounds", 5, 1000, "how many clean stops, and as many times kill -9")
	p.timeVar(f, &o.Load, "load", 3*time.Second, maxDuration, "`time` of sending before each end")
	p.intVar(f, &o.Connections, "connections", 8, maxConnections, "how many connections send them")
	p.intVar(f, &o.Sample, "sample", 2000, 1_000_000, "acknowledged events that are sent again after each start, and as many from anywhere")
	p.timeVar(f, &o.StartTimeout, "start-timeout", 10*time.Minute, maxDuration, "`time` of one start at most")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options = common
		return profile.Restart(ctx, o)
	}
	return cmd
}

func newIdleCommand() *cobra.Command {
	var o profile.IdleOptions
	cmd, p := newProfileCommand("idle", "Measure what a server uses that has nothing to do",
		`Start a server on an empty directory, leave it alone, and measure its memory and
CPU time. With --keep-data, do the same with a second server on that directory.`,
		`  sekali loadtest idle
  sekali loadtest idle --keep-data /var/tmp/filled --duration 2m`)
	f := cmd.Flags()
	p.timeVar(f, &o.Settle, "settle", 10*time.Second, maxDuration, "`time` that a server is left alone before it is measured")
	p.timeVar(f, &o.Duration, "duration", 30*time.Second, maxDuration, "`time` of the measurement")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options = common
		return profile.Idle(ctx, o)
	}
	return cmd
}

func newEchoServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "echo-server",
		Short:  "Answer POST requests with their own body, until standard input ends",
		Hidden: true, // The profiles start it, to measure what the machine could do.
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return exitWith(exitFailed, ceiling.ServeEcho(ctx, cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
}
