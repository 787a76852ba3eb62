package actors

import "sync/atomic"

// seenID is what memory keeps of a committed event.
type seenID struct {
	seq         int64
	fingerprint uint64
}

// seenBudget bounds the ids that all topics of a node remember together.
type seenBudget struct {
	limit int64
	used  atomic.Int64
}

func (b *seenBudget) spent() bool { return b.used.Load() >= b.limit }

// seenCache remembers some of a topic's committed ids. It is a positive cache:
// an id in it has been committed, an id that is not may have been. New ids go
// into the young generation; when that has half of the topic's share or the
// node's budget is used up, the old generation is dropped and the young one
// takes its place, so the ids of the last moments are always there at a cost of
// two map look-ups.
type seenCache struct {
	budget     *seenBudget
	young, old map[string]seenID
}

// maxTopicGeneration is the most ids in one generation of one topic.
const maxTopicGeneration = 16384

func (c *seenCache) get(id string) (seenID, bool) {
	if s, ok := c.young[id]; ok {
		return s, true
	}
	s, ok := c.old[id]
	return s, ok
}

// put remembers an id that has been committed.
func (c *seenCache) put(id string, s seenID) {
	if _, ok := c.get(id); ok {
		return
	}
	if len(c.young) >= maxTopicGeneration || c.budget.spent() {
		c.budget.used.Add(-int64(len(c.old)))
		c.old, c.young = c.young, nil
	}
	if c.budget.spent() {
		return
	}
	if c.young == nil {
		c.young = make(map[string]seenID)
	}
	c.young[id] = s
	c.budget.used.Add(1)
}

// release forgets everything and gives its share of the budget back.
func (c *seenCache) release() {
	c.budget.used.Add(-int64(len(c.young) + len(c.old)))
	c.young, c.old = nil, nil
}
