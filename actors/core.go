package actors

import (
	"slices"
	"time"

	"sekali"
)

// Limits of one topic's share of a transaction. A topic that has more waits
// for its next turn, so that a transaction has room for the others.
const (
	maxBatchEvents = 250
	maxBatchBytes  = 4 << 20
)

// core decides what is new in one topic. It is a plain struct: no actors, no
// clock, no I/O, used by one goroutine at a time. An id is in one of three
// states: seen (committed, in memory), undecided (in the forming batch or in
// the one being committed) or not known here, which makes it a candidate that
// only the store can judge. One batch is under way at a time; the next forms
// meanwhile.
//
// Commit first, then memory, then the answer: only committed puts ids into
// the cache and only it gives out the outcome of a candidate.
type core struct {
	seen      seenCache
	undecided map[string]int // the number of each undecided id's candidate
	pending   []candidate    // in the order of their numbers: under way, then forming
	first     int            // the number of pending[0]
	underWay  int            // how many of pending are under way

	effects effects
}

// candidate is an id whose fate the store has not told yet, with everyone who
// waits for it: first is the one that would be stored, later ones are its
// duplicates.
type candidate struct {
	first waiter
	later []waiter
}

// waiter is one event of one part.
type waiter struct {
	part        *ingestPart
	slot        int // of the event, in its request
	fingerprint uint64
}

func (w *waiter) event() *sekali.Event { return &w.part.request.events[w.slot] }

// effects is what a step of the core wants done, in this order: tallies and
// counts are handed on before the finished parts are answered.
type effects struct {
	tallies               []sekali.DuplicateTally
	duplicates, conflicts int64
	finished              []*ingestPart
}

func newCore(budget *seenBudget) *core {
	return &core{seen: seenCache{budget: budget}, undecided: make(map[string]int)}
}

// takeEffects returns the effects since it was last called; they are valid
// until the core is used again.
func (c *core) takeEffects() effects {
	e := c.effects
	c.effects = effects{tallies: kept(e.tallies), finished: kept(e.finished)}
	return e
}

// kept returns the memory of a slice that has been handed out, for use when
// that is over. Only a little is kept: there may be thousands of topics.
func kept[T any](s []T) []T {
	const most = 16
	if cap(s) > most {
		return nil
	}
	return s[:0]
}

// offer takes in a part. Events whose id memory knows are decided at once.
func (c *core) offer(p *ingestPart, now time.Time) {
	n := p.len()
	p.undecided = n
	for i := range n {
		w := waiter{part: p, slot: p.slot(i)}
		w.fingerprint = w.event().Fingerprint()
		id := w.event().ID
		if s, ok := c.seen.get(id); ok {
			c.effects.tallies = roomFor(c.effects.tallies, n-i)
			c.answerDuplicate(&w, s, now)
			continue
		}
		if at, ok := c.undecided[id]; ok {
			known := &c.pending[at-c.first]
			known.later = append(known.later, w)
			continue
		}
		c.undecided[id] = c.first + len(c.pending)
		c.pending = append(roomFor(c.pending, n-i), candidate{first: w})
	}
}

// roomFor makes room at once for all that may come when a slice is full.
func roomFor[T any](s []T, n int) []T {
	if len(s) == cap(s) {
		return slices.Grow(s, n)
	}
	return s
}

// takeBatch returns the events of the next batch and starts waiting for its
// fate. It returns nil when there are none or a batch is under way.
func (c *core) takeBatch() (events []*sekali.Event, bytes int) {
	if c.underWay > 0 || len(c.pending) == 0 {
		return nil, 0
	}
	events = make([]*sekali.Event, 0, min(len(c.pending), maxBatchEvents))
	for len(events) < cap(events) && bytes < maxBatchBytes {
		e := c.pending[len(events)].first.event()
		events = append(events, e)
		bytes += e.Size()
	}
	c.underWay = len(events)
	return events, bytes
}

// committed ends the batch under way: decisions are those of its events, and
// durable.
func (c *core) committed(decisions []sekali.Decision, now time.Time) {
	for i := range c.underWay {
		cand, d := &c.pending[i], decisions[i]
		id := cand.first.event().ID
		s := seenID{seq: d.Seq, fingerprint: d.Fingerprint}
		if d.Stored {
			s.fingerprint = cand.first.fingerprint
		}
		c.seen.put(id, s)
		if d.Stored {
			c.answer(&cand.first, sekali.Result{Outcome: sekali.OutcomeStored, Seq: d.Seq})
		} else {
			c.answerDuplicate(&cand.first, s, now)
		}
		for j := range cand.later {
			c.answerDuplicate(&cand.later[j], s, now)
		}
		delete(c.undecided, id)
	}
	c.forget(c.underWay)
}

// failBatch ends the batch under way without a fate: the parts with an event
// in it will be answered with err. Nothing is remembered.
func (c *core) failBatch(err *sekali.Error) { c.fail(c.underWay, err) }

// failAll is failBatch for everything undecided.
func (c *core) failAll(err *sekali.Error) { c.fail(len(c.pending), err) }

// fail ends the first n candidates.
func (c *core) fail(n int, err *sekali.Error) {
	for i := range n {
		cand := &c.pending[i]
		delete(c.undecided, cand.first.event().ID)
		c.failWaiter(&cand.first, err)
		for j := range cand.later {
			c.failWaiter(&cand.later[j], err)
		}
	}
	c.forget(n)
}

// forget drops the first n candidates, which have met their fate; none is
// under way any more.
func (c *core) forget(n int) {
	c.underWay = 0
	clear(c.pending[:n]) // lets go of their requests
	c.pending, c.first = c.pending[n:], c.first+n
	if len(c.pending) == 0 {
		c.pending = nil
	}
}

func (c *core) failWaiter(w *waiter, err *sekali.Error) {
	w.part.err = err
	c.decided(w.part)
}

func (c *core) answerDuplicate(w *waiter, s seenID, now time.Time) {
	conflict := w.fingerprint != s.fingerprint
	tally := sekali.DuplicateTally{Topic: w.part.topic.name, Seq: s.seq, Count: 1, LastAt: now}
	c.effects.duplicates++
	if conflict {
		tally.Conflicts = 1
		c.effects.conflicts++
	}
	c.effects.tallies = append(c.effects.tallies, tally)
	c.answer(w, sekali.Result{Outcome: sekali.OutcomeDuplicate, Seq: s.seq, Conflict: conflict})
}

func (c *core) answer(w *waiter, r sekali.Result) {
	w.part.request.results[w.slot] = r
	c.decided(w.part)
}

// decided notes that one more event of a part has met its fate. The part is
// answered with the last one, so that its topic counts as in use until nothing
// of it is left here.
func (c *core) decided(p *ingestPart) {
	p.undecided--
	if p.undecided <= 0 {
		c.finish(p)
	}
}

// finish hands a part out once, however often it is asked to.
func (c *core) finish(p *ingestPart) {
	if !p.finished {
		p.finished = true
		c.effects.finished = append(c.effects.finished, p)
	}
}
