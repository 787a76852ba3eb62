package actors

import (
	"time"

	"sekali"
)

// Limits of one topic's share of a transaction. A topic that has more waits
// for its next turn, so that a transaction has room for the others.
const (
	maxBatchEvents = 2000
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
	undecided map[string]*candidate
	forming   []*candidate
	underWay  []*candidate

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
	index       int
	fingerprint uint64
}

func (w *waiter) event() *sekali.Event { return &w.part.events[w.index] }

// effects is what a step of the core wants done, in this order: tallies and
// counts are handed on before the finished parts are answered.
type effects struct {
	tallies               []sekali.DuplicateTally
	duplicates, conflicts int64
	finished              []*ingestPart
}

func newCore(budget *seenBudget) *core {
	return &core{seen: seenCache{budget: budget}, undecided: make(map[string]*candidate)}
}

// takeEffects returns the effects since it was last called.
func (c *core) takeEffects() effects {
	e := c.effects
	c.effects = effects{}
	return e
}

// offer takes in a part. Events whose id memory knows are decided at once.
func (c *core) offer(p *ingestPart, now time.Time) {
	p.undecided = len(p.events)
	for i := range p.events {
		w := waiter{part: p, index: i, fingerprint: p.events[i].Fingerprint()}
		id := p.events[i].ID
		if s, ok := c.seen.get(id); ok {
			c.answerDuplicate(&w, s, now)
			continue
		}
		if known := c.undecided[id]; known != nil {
			known.later = append(known.later, w)
			continue
		}
		fresh := &candidate{first: w}
		c.undecided[id] = fresh
		c.forming = append(c.forming, fresh)
	}
}

// takeBatch returns the events of the next batch and starts waiting for its
// fate. It returns nil when there are none or a batch is under way.
func (c *core) takeBatch() (events []sekali.Event, bytes int) {
	if len(c.underWay) > 0 || len(c.forming) == 0 {
		return nil, 0
	}
	n := 0
	for n < len(c.forming) && n < maxBatchEvents && bytes < maxBatchBytes {
		bytes += c.forming[n].first.event().Size()
		n++
	}
	c.underWay, c.forming = c.forming[:n:n], c.forming[n:]
	if len(c.forming) == 0 {
		c.forming = nil
	}
	events = make([]sekali.Event, n)
	for i, cand := range c.underWay {
		events[i] = *cand.first.event()
	}
	return events, bytes
}

// committed ends the batch under way: decisions are those of its events, and
// durable.
func (c *core) committed(decisions []sekali.Decision, now time.Time) {
	batch := c.underWay
	c.underWay = nil
	for i, cand := range batch {
		id, d := cand.first.event().ID, decisions[i]
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
}

// failBatch ends the batch under way without a fate: the parts with an event
// in it will be answered with err. Nothing is remembered.
func (c *core) failBatch(err *sekali.Error) {
	batch := c.underWay
	c.underWay = nil
	for _, cand := range batch {
		c.fail(cand, err)
	}
}

// failAll is failBatch for everything undecided.
func (c *core) failAll(err *sekali.Error) {
	c.underWay, c.forming = nil, nil
	for _, cand := range c.undecided {
		c.fail(cand, err)
	}
}

func (c *core) fail(cand *candidate, err *sekali.Error) {
	delete(c.undecided, cand.first.event().ID)
	c.failWaiter(&cand.first, err)
	for i := range cand.later {
		c.failWaiter(&cand.later[i], err)
	}
}

func (c *core) failWaiter(w *waiter, err *sekali.Error) {
	w.part.err = err
	c.decided(w.part)
}

func (c *core) answerDuplicate(w *waiter, s seenID, now time.Time) {
	conflict := w.fingerprint != s.fingerprint
	tally := sekali.DuplicateTally{Topic: w.event().Topic, Seq: s.seq, Count: 1, LastAt: now}
	c.effects.duplicates++
	if conflict {
		tally.Conflicts = 1
		c.effects.conflicts++
	}
	c.effects.tallies = append(c.effects.tallies, tally)
	c.answer(w, sekali.Result{Outcome: sekali.OutcomeDuplicate, Seq: s.seq, Conflict: conflict})
}

func (c *core) answer(w *waiter, r sekali.Result) {
	w.part.set(w.index, r)
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
