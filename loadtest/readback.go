package loadtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekali"
	"sekali/client"
)

// verify holds the answers against the plan and the server against the answers.
func (r *run) verify(ctx context.Context) {
	r.verifyAnswers()
	if r.verdict.acknowledged == 0 || ctx.Err() != nil {
		return // Nothing to look for, or nobody waits for it.
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	after, err := r.client.Stats(ctx)
	if err != nil {
		r.fail(err)
		r.verdict.check("read back", func() string {
			r.verdict.problems.addf("the server does not answer any more: %v", err)
			return "not possible; use a ledger, and verify it when the server is back"
		})
		return
	}
	r.progress = r.options.display().Events("read back", int64(r.plan.unique))
	r.verdict.check("read back", func() string { return r.readBack(ctx) })
	r.progress.Finish()
	r.verdict.check("/topics", func() string { return r.checkTopics(ctx, after) })
	r.verdict.check("/stats", func() string { return r.checkStats(after) })
}

// readBack reads every event of the run's topics and compares its bytes.
func (r *run) readBack(ctx context.Context) string {
	v := &r.verdict
	numbers := make(map[string]int, r.plan.unique)
	for k := range r.plan.unique {
		numbers[r.plan.idOf(k)] = k
	}
	listed := 0
	for _, topic := range r.plan.topics {
		var last int64
		for e, err := range r.client.Events(ctx, client.Query{Topic: topic}) {
			if err != nil {
				v.problems.addf("read topic %s: %v", topic, err)
				break
			}
			if e.Seq <= last {
				v.problems.addf("topic %s: seq %d is listed behind %d", topic, e.Seq, last)
			}
			last = e.Seq
			listed++
			r.checkListed(topic, numbers, e)
			r.progress.Add(1)
		}
	}
	for k := range v.ids {
		if id := &v.ids[k]; id.acked && !id.listed {
			v.problems.addf("%s was acknowledged with seq %d and is not there", r.plan.idOf(k), id.seq)
		}
	}
	return fmt.Sprintf("%s events in %s topics, each once, bytes as sent", group(int64(listed)), group(int64(len(r.plan.topics))))
}

// checkListed compares an event that was read with the one that was sent.
func (r *run) checkListed(topic string, numbers map[string]int, e sekali.StoredEvent) {
	v := &r.verdict
	k, known := numbers[e.ID]
	if !known || r.plan.topics[r.plan.topicOf(k)] != topic || e.Topic != topic {
		v.problems.addf("topic %s holds %s %s, which this run did not send there", topic, e.Topic, e.ID)
		return
	}
	id, sent := &v.ids[k], r.plan.event(k)
	switch {
	case id.listed:
		v.problems.addf("%s is listed twice", e.ID)
	case !id.acked && !id.uncertain:
		v.problems.addf("%s is there, though no request with it can have been carried out", e.ID)
	case id.acked && id.seq != e.Seq:
		v.problems.addf("%s was answered with seq %d and is listed with seq %d", e.ID, id.seq, e.Seq)
	}
	if e.Source != sent.Source || e.Timestamp != sent.Timestamp || !bytes.Equal(e.Payload, sent.Payload) {
		v.problems.addf("%s came back changed: source %q, timestamp %q, payload %.200q", e.ID, e.Source, e.Timestamp, e.Payload)
	}
	id.listed = true
}

// checkTopics compares the counts per topic, which nobody else changes: as many
// unique events as were read back, and as many received as were answered. Sends
// of attempts that had no answer may be counted or not. Counts of duplicates
// may be written up to a second late, hence the patience with those.
func (r *run) checkTopics(ctx context.Context, stats client.Stats) string {
	v := &r.verdict
	const patience = 2 * time.Second
	giveUp := time.Now().Add(patience)
	expected := r.expectTopics()
	for {
		found, late := r.compareTopics(ctx, expected, stats)
		if late && time.Now().Before(giveUp) && ctx.Err() == nil {
			wait(ctx, 100*time.Millisecond)
			continue
		}
		for _, problem := range found {
			v.problems.addf("%s", problem)
		}
		return fmt.Sprintf("the counts of %s topics match", group(int64(len(expected)-len(found))))
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// topicCounts are the counts that a topic must show.
type topicCounts struct {
	unique           int64
	received, atMost int64 // answered sends, and those plus the unanswered ones
}

func (r *run) expectTopics() map[string]*topicCounts {
	expected := map[string]*topicCounts{}
	of := func(k int) *topicCounts {
		name := r.plan.topics[r.plan.topicOf(k)]
		if expected[name] == nil {
			expected[name] = &topicCounts{}
		}
		return expected[name]
	}
	for k := range r.verdict.ids {
		if r.verdict.ids[k].listed {
			of(k).unique++
		}
	}
	for i := range r.requests {
		rec := &r.requests[i]
		from, to := r.plan.request(i)
		for _, k := range r.plan.sends[from:to] {
			counts := of(int(k))
			counts.atMost += int64(rec.lost)
			if rec.state == requestAnswered {
				counts.received++
				counts.atMost++
			}
		}
	}
	return expected
}

// compareTopics reads the counts of the run's topics and returns what differs.
// It is late when nothing but duplicates that are still to be counted does.
func (r *run) compareTopics(ctx context.Context, expected map[string]*topicCounts, stats client.Stats) (found []string, late bool) {
	shown, err := r.shownTopics(ctx)
	if err != nil {
		return []string{fmt.Sprintf("read the counts of the topics: %v", err)}, false
	}
	late = true
	for name, want := range expected {
		got := shown[name]
		received := got.Unique + got.Duplicates
		wrong := got.Unique != want.unique || received > want.atMost || got.Conflicts != 0
		// After a crash the duplicate counter may lack its last second.
		missing := received < want.received && !r.restarted(stats)
		if !wrong && !missing {
			continue
		}
		late = late && !wrong
		found = append(found, fmt.Sprintf("/topics shows %d unique, %d duplicates, %d conflicts for %s; right are %d unique and %d to %d in all",
			got.Unique, got.Duplicates, got.Conflicts, name, want.unique, want.received, want.atMost))
	}
	slices.Sort(found)
	return found, late && len(found) > 0
}

// shownTopics reads the counts of the run's topics, which stand together in the
// order of their names.
func (r *run) shownTopics(ctx context.Context) (map[string]sekali.TopicStats, error) {
	shown := map[string]sekali.TopicStats{}
	prefix := topicPrefix(r.options)
	for t, err := range r.client.Topics(ctx, client.TopicsQuery{After: prefix}) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(t.Topic, prefix) {
			break
		}
		shown[t.Topic] = t
	}
	return shown, nil
}

// restarted reports that the server is not the process that the run began with.
func (r *run) restarted(stats client.Stats) bool {
	return !stats.StartedAt.Equal(r.before.StartedAt)
}
