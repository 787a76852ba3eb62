package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"sekali"
)

// content is all that a store holds and promises to keep.
type content struct {
	events  int // how many of the history's events
	topics  map[string]sekali.TopicStats
	repeats map[int64]repeats // by seq
}

type repeats struct{ count, conflicts, lastAt int64 }

func (c *content) clone() content {
	return content{c.events, maps.Clone(c.topics), maps.Clone(c.repeats)}
}

// history is what one sender has had stored, batch by batch, and what the store
// must hold after each of them.
type history struct {
	events []sekali.StoredEvent // by seq
	seqs   map[[2]string]int64  // by topic and id
	steps  []content            // after each batch; the first one is before any
	at     time.Time
	nextID int
}

func newHistory() *history {
	return &history{
		seqs:  make(map[[2]string]int64),
		steps: []content{{topics: map[string]sekali.TopicStats{}, repeats: map[int64]repeats{}}},
		at:    time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC),
	}
}

func (h *history) last() int { return len(h.steps) - 1 }

// rewind forgets the batches behind a step: they are not stored.
func (h *history) rewind(step int) {
	h.steps = h.steps[:step+1]
	for _, e := range h.events[h.steps[step].events:] {
		delete(h.seqs, [2]string{e.Topic, e.ID})
	}
	h.events = h.events[:h.steps[step].events]
}

// draw makes the next batch: new events, repeats of stored ones, and of its own,
// and tallies of earlier ones. Now and then it has only tallies.
func (h *history) draw(r *rand.Rand) sekali.Batch {
	h.at = h.at.Add(time.Second)
	b := sekali.Batch{At: h.at}
	n := r.IntN(12)
	for range n {
		b.Events = append(b.Events, h.drawEvent(r, b.Events))
	}
	stored := h.steps[h.last()].events
	for range r.IntN(4) {
		if stored == 0 {
			break
		}
		e := h.events[r.IntN(stored)]
		count := int64(1 + r.IntN(5))
		b.Duplicates = append(b.Duplicates, sekali.DuplicateTally{
			Topic: e.Topic, Seq: e.Seq, Count: count, Conflicts: r.Int64N(count + 1), LastAt: h.at,
		})
	}
	if len(b.Events)+len(b.Duplicates) == 0 {
		b.Events = append(b.Events, h.drawEvent(r, nil))
	}
	return b
}

// drawEvent makes an event whose id is new seven times of eight. Payloads fit on a
// page, mostly; one of 32 takes some.
func (h *history) drawEvent(r *rand.Rand, batch []sekali.Event) sekali.Event {
	if r.IntN(8) == 0 {
		if len(batch) > 0 && r.IntN(3) == 0 {
			return batch[r.IntN(len(batch))]
		}
		if stored := h.steps[h.last()].events; stored > 0 {
			return h.events[r.IntN(stored)].Event
		}
	}
	h.nextID++
	size := r.IntN(300)
	if r.IntN(32) == 0 {
		size = r.IntN(20_000)
	}
	topic := fmt.Sprintf("topic-%d", r.IntN(3))
	if r.IntN(20) == 0 {
		topic = fmt.Sprintf("rare-%d", h.nextID)
	}
	return sekali.Event{
		Topic: topic, ID: fmt.Sprintf("id-%d", h.nextID), Source: "sender", Timestamp: h.at.Format(time.RFC3339), Time: h.at,
		Payload: fmt.Appendf(nil, `{"text":"%s"}`, bytes.Repeat([]byte{byte('a' + r.IntN(26))}, size)),
	}
}

// add notes that b was handed to the store, as the step behind the last one, and
// returns the decisions that the store owes for it. With stored false it only
// tells them.
func (h *history) add(b sekali.Batch) []sekali.Decision {
	next := h.steps[h.last()].clone()
	decisions := make([]sekali.Decision, len(b.Events))
	for i := range b.Events {
		decisions[i] = h.addEvent(&next, b.Events[i], b.At)
	}
	for _, d := range b.Duplicates {
		t, r := next.topics[d.Topic], next.repeats[d.Seq]
		t.Duplicates += d.Count
		t.Conflicts += d.Conflicts
		t.LastSeen = d.LastAt
		r.count, r.conflicts, r.lastAt = r.count+d.Count, r.conflicts+d.Conflicts, d.LastAt.UnixNano()
		next.topics[d.Topic], next.repeats[d.Seq] = t, r
	}
	h.steps = append(h.steps, next)
	return decisions
}

func (h *history) addEvent(next *content, e sekali.Event, at time.Time) sekali.Decision {
	identity := [2]string{e.Topic, e.ID}
	if seq, ok := h.seqs[identity]; ok {
		return sekali.Decision{Seq: seq, Fingerprint: h.events[seq-1].Fingerprint()}
	}
	next.events++
	seq := int64(next.events)
	h.seqs[identity] = seq
	h.events = append(h.events, sekali.StoredEvent{Event: e, Seq: seq, ProcessedAt: at})
	t, known := next.topics[e.Topic]
	if !known {
		t = sekali.TopicStats{Topic: e.Topic, FirstSeen: at}
	}
	t.Unique++
	t.LastSeen = at
	next.topics[e.Topic] = t
	return sekali.Decision{Stored: true, Seq: seq}
}

// find returns the step whose content is that of the store, or an error that
// says what does not fit. Steps are tried from last down to first.
func (h *history) find(ctx context.Context, s *Store, first, last int) (int, error) {
	got, err := h.read(ctx, s)
	if err != nil {
		return 0, err
	}
	for step := min(last, h.last()); step >= first; step-- {
		if reflect.DeepEqual(got, h.steps[step]) {
			return step, nil
		}
	}
	for step := range h.steps {
		if reflect.DeepEqual(got, h.steps[step]) {
			return 0, &wrongStepError{got: step, first: first, last: last}
		}
	}
	return 0, fmt.Errorf("what the store holds was never a state of it: %d events, topics %v, repeats %v; wanted one of the batches %d to %d",
		got.events, got.topics, got.repeats, first, last)
}

// wrongStepError says that a store holds what it once was to hold, and not what
// it was to hold in the end.
type wrongStepError struct{ got, first, last int }

func (e *wrongStepError) Error() string {
	return fmt.Sprintf("the store holds batches 1 to %d, and not to one of %d to %d", e.got, e.first, e.last)
}

// read reads everything that a store holds and compares the events with those of
// the history.
func (h *history) read(ctx context.Context, s *Store) (content, error) {
	c := content{topics: map[string]sekali.TopicStats{}, repeats: map[int64]repeats{}}
	page, err := s.Events(ctx, sekali.EventsQuery{Limit: 1_000_000})
	if err != nil {
		return c, fmt.Errorf("read the events: %w", err)
	}
	c.events = len(page.Events)
	if c.events > len(h.events) {
		return c, fmt.Errorf("the store holds %d events of %d", c.events, len(h.events))
	}
	for i, e := range page.Events {
		if want := h.events[i]; !reflect.DeepEqual(normal(e), normal(want)) {
			return c, fmt.Errorf("event %d is %+v, not %+v", i+1, e, want)
		}
	}
	topics, err := s.Topics(ctx, sekali.TopicsQuery{Limit: 1_000_000})
	if err != nil {
		return c, fmt.Errorf("read the topics: %w", err)
	}
	for _, t := range topics {
		c.topics[t.Topic] = t
	}
	return c, c.readRepeats(ctx, s.readers)
}

// normal is e with its payload comparable when empty.
func normal(e sekali.StoredEvent) sekali.StoredEvent {
	e.Payload = slices.Concat(e.Payload, []byte{})
	e.Time, e.ProcessedAt = e.Time.UTC(), e.ProcessedAt.UTC()
	return e
}

func (c *content) readRepeats(ctx context.Context, db *sql.DB) (err error) {
	rows, err := db.QueryContext(ctx, `select seq, sum(count), sum(conflicts), max(last_at) from duplicates group by seq`)
	if err != nil {
		return fmt.Errorf("read the repeats: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		var (
			seq int64
			r   repeats
		)
		if err := rows.Scan(&seq, &r.count, &r.conflicts, &r.lastAt); err != nil {
			return fmt.Errorf("read the repeats: %w", err)
		}
		c.repeats[seq] = r
	}
	return rows.Err()
}
