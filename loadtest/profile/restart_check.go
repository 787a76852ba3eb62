package profile

import (
	"context"
	"fmt"
	"math/rand/v2"

	"sekali"
	"sekali/client"
)

// checkStart holds what the new server knows against what was acknowledged: its
// count, a sample of the load before it, and events from anywhere.
func (r *restarter) checkStart(ctx context.Context, load *restartLoad) error {
	if load.stored == 0 {
		r.problems.addf("nothing was acknowledged before the end of the server: it was not under load")
	}
	if err := r.checkCount(ctx); err != nil {
		return err
	}
	if err := r.checkAcknowledged(ctx, load); err != nil {
		return fmt.Errorf("send acknowledged events again: %w", err)
	}
	if err := r.checkAnywhere(ctx); err != nil {
		return fmt.Errorf("send stored events again: %w", err)
	}
	return nil
}

// checkCount holds the server's count of stored events against what it must be.
func (r *restarter) checkCount(ctx context.Context) error {
	least, most := r.stored, r.stored+r.unknown
	if err := r.count(ctx); err != nil {
		return err
	}
	if r.stored < least || r.stored > most {
		r.problems.addf("after start %d the server has %d events, but must have %d to %d", len(r.starts)+1, r.stored, least, most)
	}
	return nil
}

// count takes the number of stored events from the server.
func (r *restarter) count(ctx context.Context) error {
	stats, err := r.client.Stats(ctx)
	if err != nil {
		return fmt.Errorf("count the stored events: %w", err)
	}
	r.stored, r.unknown = stats.UniqueProcessed, 0
	return nil
}

// checkAcknowledged sends again what the last server acknowledged: the newest
// requests, which a crash would take first, and others at random.
func (r *restarter) checkAcknowledged(ctx context.Context, load *restartLoad) error {
	requests := (r.o.Sample + restartBatch - 1) / restartBatch
	newest := min(len(load.acked), r.o.Connections, requests)
	older := load.acked[:len(load.acked)-newest]
	chosen := append([]acknowledgement(nil), load.acked[len(older):]...)
	for _, i := range rand.Perm(len(older))[:min(len(older), requests-newest)] {
		chosen = append(chosen, older[i])
	}
	for _, a := range chosen {
		if err := r.checkDuplicates(ctx, r.events.batch(a.first, uint64(len(a.seqs))), a.seqs); err != nil {
			return err
		}
	}
	return nil
}

// checkAnywhere sends again events from random places of everything stored.
func (r *restarter) checkAnywhere(ctx context.Context) error {
	var last int64
	for event, err := range r.client.Events(ctx, client.Query{Descending: true, PageSize: 1}) {
		if err != nil {
			return err
		}
		last = event.Seq
		break
	}
	if last == 0 {
		r.problems.addf("after start %d no events are listed", len(r.starts)+1)
		return nil
	}
	for range (r.o.Sample + restartBatch - 1) / restartBatch {
		var events []sekali.Event
		var seqs []int64
		for event, err := range r.client.Events(ctx, client.Query{After: rand.Int64N(last), PageSize: restartBatch}) {
			if err != nil {
				return err
			}
			events, seqs = append(events, event.Event), append(seqs, event.Seq)
			if len(events) == restartBatch {
				break
			}
		}
		if len(events) == 0 {
			r.problems.addf("after start %d no events are listed before the last one, seq %d", len(r.starts)+1, last)
		}
		if err := r.checkDuplicates(ctx, events, seqs); err != nil {
			return err
		}
	}
	return nil
}

// checkDuplicates publishes events that are stored: each must be a duplicate
// with its seq.
func (r *restarter) checkDuplicates(ctx context.Context, events []sekali.Event, seqs []int64) error {
	results, err := r.client.Publish(ctx, events)
	if err != nil {
		return err
	}
	for i, answer := range results {
		if answer.Outcome != sekali.OutcomeDuplicate || answer.Seq != seqs[i] || answer.Conflict {
			r.problems.addf("event %s of topic %s was stored with seq %d; after start %d it is %v with seq %d, conflict %t",
				events[i].ID, events[i].Topic, seqs[i], len(r.starts)+1, answer.Outcome, answer.Seq, answer.Conflict)
		}
	}
	return nil
}

// maxProblems is how many problems are listed; the rest is counted.
const maxProblems = 20

// restartProblems collects what did not match.
type restartProblems struct {
	listed []string
	more   int
}

func (p *restartProblems) addf(format string, args ...any) {
	if len(p.listed) == maxProblems {
		p.more++
		return
	}
	p.listed = append(p.listed, fmt.Sprintf(format, args...))
}

func (p *restartProblems) list() []string {
	if p.more == 0 {
		return p.listed
	}
	return append(p.listed, fmt.Sprintf("and %d more", p.more))
}
