package actors

import (
	"strings"
	"sync/atomic"
)

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
	text       strings.Builder // the ids put last; older ones live on in the maps alone
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

// put remembers an id that has been committed and is not in the cache.
func (c *seenCache) put(id string, s seenID) {
	if len(c.young) >= maxTopicGeneration || c.budget.spent() {
		c.budget.used.Add(-int64(len(c.old)))
		c.old, c.young = c.young, nil
		c.text = strings.Builder{}
	}
	if c.budget.spent() {
		return
	}
	if c.young == nil {
		c.young = make(map[string]seenID, len(c.old))
	}
	c.young[c.copyOf(id)] = s
	c.budget.used.Add(1)
}

// copyOf returns an id that does not hold its request in memory. Ids of one
// generation lie together, in pieces that grow with the topic.
func (c *seenCache) copyOf(id string) string {
	const smallest, largest = 64, 8 << 10
	if c.text.Cap()-c.text.Len() < len(id) {
		size := min(max(2*c.text.Cap(), smallest), largest)
		c.text = strings.Builder{}
		c.text.Grow(max(size, len(id)))
	}
	at := c.text.Len()
	c.text.WriteString(id)
	return c.text.String()[at:]
}

// release forgets everything and gives its share of the budget back.
func (c *seenCache) release() {
	c.budget.used.Add(-int64(len(c.young) + len(c.old)))
	c.young, c.old = nil, nil
	c.text = strings.Builder{}
}
