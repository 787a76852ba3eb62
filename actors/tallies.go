package actors

import "sekali"

// tallyQueue gathers counts of duplicates until they are written: one entry
// per event, oldest first, however often the event is repeated. Its size settles
// at tallyPortions times what arrives between two transactions, which the
// admission bounds: a longer queue is written in larger portions.
type tallyQueue struct {
	entries []sekali.DuplicateTally
	bySeq   map[int64]int // where an event's entry is, counted from the first ever
	first   int           // the number of entries[0]
	added   uint64        // entries ever added
	written uint64        // entries ever written, or put back and added anew
}

func (q *tallyQueue) add(t sekali.DuplicateTally) {
	if at, ok := q.bySeq[t.Seq]; ok {
		known := &q.entries[at-q.first]
		known.Count += t.Count
		known.Conflicts += t.Conflicts
		if t.LastAt.After(known.LastAt) { // not so when it was put back
			known.LastAt = t.LastAt
		}
		return
	}
	if q.bySeq == nil {
		q.bySeq = make(map[int64]int)
	}
	q.bySeq[t.Seq] = q.first + len(q.entries)
	q.entries = append(q.entries, t)
	q.added++
}

// take removes the oldest entries, at most n. They must come back by putBack
// or be reported by wrote.
func (q *tallyQueue) take(n int) []sekali.DuplicateTally {
	n = min(n, len(q.entries))
	taken := q.entries[:n:n]
	for i := range taken {
		delete(q.bySeq, taken[i].Seq)
	}
	q.entries, q.first = q.entries[n:], q.first+n
	if len(q.entries) == 0 {
		q.entries, q.bySeq = nil, nil // gives the memory of a flood back
	}
	return taken
}

func (q *tallyQueue) wrote(n int) { q.written += uint64(n) }

// putBack returns entries whose transaction failed.
func (q *tallyQueue) putBack(taken []sekali.DuplicateTally) {
	q.wrote(len(taken)) // add counts them anew
	for _, t := range taken {
		q.add(t)
	}
}

func (q *tallyQueue) len() int { return len(q.entries) }
