package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sekali/loadtest/generator"
	"sekali/loadtest/profile"
	"sekali/loadtest/result"
)

// What the profiles can do at most; beyond it a mistake is more likely.
const (
	maxConnections = 4096 // as many as a server takes by default
	maxBatch       = 10_000
	maxEvents      = 1_000_000_000
	maxRate        = 100_000
	maxDuration    = 24 * time.Hour
)

// newGoalCommands returns the profiles that load a server.
func newGoalCommands() []*cobra.Command {
	return []*cobra.Command{
		newSustainedCommand(), newSinglesCommand(), newGrowthCommand(), newIsolationCommand(), newOverloadCommand(), newReadsCommand(),
	}
}

func newSustainedCommand() *cobra.Command {
	var o profile.SustainedOptions
	cmd, p := newProfileCommand("sustained", "Measure batches at full speed against what SQLite appends",
		`Send batches as fast as the server answers, a part of the events repeats, and
hold the rate against 100,000 events/s and against the raw SQLite append of the
same run.`+serverHelp,
		`  sekali loadtest sustained
  sekali loadtest sustained --duration 1m --report sustained.html`)
	f := cmd.Flags()
	p.defineLoad(f)
	p.intVar(f, &o.Connections, "connections", 8, maxConnections, "how many connections send at a time")
	p.intVar(f, &o.Batch, "batch", 100, maxBatch, "events per request")
	o.Duplicates = 0.1
	defineSpread(p, f, &o.Topics, &o.Duplicates)
	p.timeVar(f, &o.Duration, "duration", 20*time.Second, maxDuration, "`time` of sending")
	p.intVar(f, &o.CeilingRows, "ceiling-rows", 1_000_000, maxEvents, "rows of each of the two raw appends")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options = common
		return profile.Sustained(ctx, o)
	}
	return cmd
}

func newSinglesCommand() *cobra.Command {
	var o profile.SinglesOptions
	cmd, p := newProfileCommand("singles", "Measure single events at full speed against a bare HTTP echo",
		`Send single events as fast as the server answers and hold the rate against a
bare fasthttp echo, to which the same generator sends the same requests before
and after.`+serverHelp,
		`  sekali loadtest singles --connections 64`)
	f := cmd.Flags()
	p.defineLoad(f)
	p.intVar(f, &o.Connections, "connections", 64, maxConnections, "how many connections send at a time")
	o.Duplicates = 0.1
	defineSpread(p, f, &o.Topics, &o.Duplicates)
	p.timeVar(f, &o.Duration, "duration", 20*time.Second, maxDuration, "`time` of sending")
	p.timeVar(f, &o.EchoDuration, "echo-duration", 5*time.Second, maxDuration, "`time` of sending to the echo, before and again after")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options = common
		return profile.Singles(ctx, o)
	}
	return cmd
}

func newGrowthCommand() *cobra.Command {
	var o profile.GrowthOptions
	cmd, p := newProfileCommand("growth", "Fill a server and measure whether it gets slower or larger",
		`Store events until there are many, and measure rate, latency, memory and disk
for each million; then compare new events with loads of which half repeats:
ids from anywhere in all that is stored, and ids of the last minute.`+serverHelp,
		`  sekali loadtest growth --events 20000000 --report growth.html
  sekali loadtest growth --events 1000000 --keep-data /var/tmp/filled`)
	f := cmd.Flags()
	p.defineLoad(f)
	p.intVar(f, &o.Connections, "connections", 8, maxConnections, "how many connections send at a time")
	p.intVar(f, &o.Batch, "batch", 100, maxBatch, "events per request")
	defineTopics(p, f, &o.Topics)
	events := 0
	p.intVar(f, &events, "events", 20_000_000, maxEvents, "how many events to store")
	p.timeVar(f, &o.Repeats, "repeats-duration", 10*time.Second, profile.MaxRepeats, "`time` of each of the three loads after the fill")
	p.intVar(f, &o.CeilingRows, "ceiling-rows", 1_000_000, maxEvents, "rows of each of the two raw appends")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options, o.Events = common, int64(events)
		return profile.Growth(ctx, o)
	}
	return cmd
}

func newIsolationCommand() *cobra.Command {
	var o profile.IsolationOptions
	cmd, p := newProfileCommand("isolation", "Measure a quiet topic while another floods",
		`Send single events to a quiet topic at a modest rate, alone and beside a topic
that is flooded with batches, in turns, and compare the 99th percentiles.`+serverHelp,
		`  sekali loadtest isolation`)
	f := cmd.Flags()
	p.defineLoad(f)
	p.intVar(f, &o.Connections, "connections", 8, maxConnections, "how many connections flood")
	p.intVar(f, &o.Batch, "batch", 100, maxBatch, "events per request of the flood")
	rate := 0
	p.intVar(f, &rate, "rate", 200, maxRate, "single `events` per second to the quiet topic")
	p.intVar(f, &o.Rounds, "rounds", 3, 100, "how often quiet and flood take turns")
	p.timeVar(f, &o.Duration, "duration", 5*time.Second, maxDuration, "`time` of each turn")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options, o.Rate = common, float64(rate)
		return profile.Isolation(ctx, o)
	}
	return cmd
}

func newOverloadCommand() *cobra.Command {
	var o profile.OverloadOptions
	cmd, p := newProfileCommand("overload", "Offer a multiple of what the server can take",
		`Measure the most that the server takes, then offer a multiple of it whatever it
answers: what it still stores, how it refuses the rest and what memory it needs.`+serverHelp,
		`  sekali loadtest overload --multiple 10`)
	f := cmd.Flags()
	p.defineLoad(f)
	p.intVar(f, &o.Connections, "connections", 16, maxConnections, "how many connections measure the peak")
	p.intVar(f, &o.OpenConnections, "overload-connections", 512, maxConnections, "how many connections overload")
	p.intVar(f, &o.Batch, "batch", 500, maxBatch, "events per request")
	defineTopics(p, f, &o.Topics)
	multiple := 0
	p.intVar(f, &multiple, "multiple", 10, 1000, "how many `times` the peak to offer")
	p.timeVar(f, &o.Duration, "duration", 10*time.Second, maxDuration, "`time` of each of both")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options, o.Multiple = common, float64(multiple)
		return profile.Overload(ctx, o)
	}
	return cmd
}

func newReadsCommand() *cobra.Command {
	var o profile.ReadsOptions
	cmd, p := newProfileCommand("reads", "Measure reading, idle and under full ingest",
		`Read pages at random cursors, pages of a topic, single events and the counts at
a modest rate: while nothing else goes on, and while the server ingests as fast
as it can. Events of earlier load tests are read; without any, some are stored
first.`+serverHelp,
		`  sekali loadtest reads --keep-data /var/tmp/filled`)
	f := cmd.Flags()
	p.defineLoad(f)
	p.intVar(f, &o.Connections, "connections", 8, maxConnections, "how many connections ingest")
	p.intVar(f, &o.Batch, "batch", 100, maxBatch, "events per request of the ingest")
	defineTopics(p, f, &o.Topics)
	events, rate := 0, 0
	p.intVar(f, &events, "events", 1_000_000, maxEvents, "how many events to store first, when the server holds none")
	p.intVar(f, &rate, "rate", 50, maxRate, "`requests` per second of each of the four kinds")
	p.timeVar(f, &o.Duration, "duration", 10*time.Second, maxDuration, "`time` of reading, idle and again under ingest")
	p.measure = func(ctx context.Context, common profile.Options) (*result.Result, error) {
		o.Options, o.Events, o.Rate = common, int64(events), float64(rate)
		return profile.Reads(ctx, o)
	}
	return cmd
}

// defineSpread adds the flags of how ids are spread.
func defineSpread(p *profileCommand, f *pflag.FlagSet, topics *int, duplicates *float64) {
	defineTopics(p, f, topics)
	f.Var((*shareValue)(duplicates), "duplicates", "share of repeats, as 0.1 or 10%")
}

func defineTopics(p *profileCommand, f *pflag.FlagSet, topics *int) {
	p.intVar(f, topics, "topics", 10, generator.MaxTopics, "how many topics to spread the events over")
}
