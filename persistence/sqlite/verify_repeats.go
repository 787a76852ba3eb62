package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// maxKeys is how many keys of ids are in memory at a time, 8 bytes each. More
// events are read in as many passes as that takes.
const maxKeys = 32 << 20

// passes is how often the ids are read until the keys of all were in memory.
func (v *verifier) passes() uint64 { return uint64(v.report.LastSeq/maxKeys + 1) }

// findRepeats finds ids that several rows of a topic have: the promise that
// everything else serves. Equal ids have equal keys; so the keys are sorted,
// and the rows of those that are there twice are compared themselves. The keys
// of the first pass were collected when the rows were read.
func (v *verifier) findRepeats(ctx context.Context) error {
	for pass := range v.passes() {
		if pass > 0 {
			if err := v.collectKeys(ctx, pass); err != nil {
				return fmt.Errorf("look for ids stored twice: %w", err)
			}
		}
		if err := v.compareEqual(ctx, equalKeys(v.idKeys)); err != nil {
			return fmt.Errorf("look for ids stored twice: %w", err)
		}
	}
	return nil
}

func (v *verifier) collectKeys(ctx context.Context, pass uint64) error {
	var done atomic.Int64
	v.idKeys = v.idKeys[:0]
	return v.eachID(ctx, func(c *eventChunk, ids []idRow) {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, r := range ids {
			if r.key%v.passes() == pass {
				v.idKeys = append(v.idKeys, r.key)
			}
		}
		v.progress("ids", done.Add(c.rows), v.report.Events)
	})
}

// equalKeys returns the keys that are there more than once.
func equalKeys(keys []uint64) map[uint64]bool {
	slices.Sort(keys)
	equal := make(map[uint64]bool)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			equal[keys[i]] = true
		}
	}
	return equal
}

// idRow is what makes an event unique, and where it is.
type idRow struct {
	seq, topic int64
	id         string
	key        uint64
}

// eachID reads the ids of all events again, several chunks at a time.
func (v *verifier) eachID(ctx context.Context, f func(c *eventChunk, ids []idRow)) error {
	return inParallel(v.Workers, len(v.chunks), func() func(i int) error {
		var ids []idRow
		return func(i int) (err error) {
			if i < 0 {
				return nil
			}
			if ids, err = v.ids(ctx, v.chunks[i], ids[:0]); isDamage(err) {
				err = nil // said when the rows were read
			}
			if err == nil {
				f(v.chunks[i], ids)
			}
			return err
		}
	})
}

func (v *verifier) ids(ctx context.Context, c *eventChunk, ids []idRow) ([]idRow, error) {
	rows, err := v.db.QueryContext(ctx, `select seq, topic_id, event_id from events where seq between ? and ? order by seq`, c.first, c.last)
	if err != nil {
		return ids, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		var r idRow
		if err := rows.Scan(&r.seq, &r.topic, &r.id); err != nil {
			return ids, err
		}
		r.key = v.keys.of(r.topic, r.id)
		ids = append(ids, r)
	}
	return ids, rows.Err()
}

// compareEqual compares the events that have one of the keys, which are very
// few unless something is wrong.
func (v *verifier) compareEqual(ctx context.Context, equal map[uint64]bool) error {
	if len(equal) == 0 {
		return nil
	}
	var mu sync.Mutex
	seqs := make(map[inBatchKey][]int64)
	err := v.eachID(ctx, func(_ *eventChunk, ids []idRow) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range ids {
			if equal[r.key] {
				id := inBatchKey{r.topic, r.id}
				seqs[id] = append(seqs[id], r.seq)
			}
		}
	})
	for id, found := range seqs {
		if len(found) > 1 {
			slices.Sort(found)
			v.find(FindingTwice, "topic %d, id %q: seq %v", id.topic, id.id, found)
		}
	}
	return err
}
