package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/dustin/go-humanize"

	"sekali/loadtest/peers/contender"
	"sekali/loadtest/peers/report"
)

// A trial is a short run that tells with how many connections a peer is best.
const trialEvents = 100_000

var trialConnections = []int{4, 8, 16, 32}

// try finds for each peer that uses several connections the number that it is
// fastest with, so that the choice is not ours.
func (r *rounds) try(ctx context.Context) error {
	for _, kind := range r.kinds {
		if kind.Connections == 1 {
			continue
		}
		_, _ = fmt.Fprintf(r.stdout, "[trial] %s, connections:", kind.Label)
		trial := report.Trial{Peer: kind.Name}
		for _, n := range trialConnections {
			result, err := r.startSingle(ctx, kind, append(connectionsFlag(n), "-growth", "0", "-events", strconv.Itoa(trialEvents))...)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(r.stdout, " %d: %s/s", n, humanize.Comma(int64(result.Rate())))
			trial.Rates = append(trial.Rates, report.TrialRate{Connections: n, EventsPerSecond: result.Rate()})
		}
		_, _ = fmt.Fprintln(r.stdout)
		r.set.Trials = append(r.set.Trials, trial)
	}
	return nil
}

func connectionsFlag(n int) []string { return []string{"-connections", strconv.Itoa(n)} }

// chosenConnections returns what the trial of a peer changes in the arguments.
func (r *rounds) chosenConnections(kind contender.Kind) []string {
	for i := range r.set.Trials {
		if r.set.Trials[i].Peer == kind.Name {
			return connectionsFlag(r.set.Trials[i].Best())
		}
	}
	return nil
}
