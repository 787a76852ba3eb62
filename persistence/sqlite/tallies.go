package sqlite

import (
	"maps"

	"sekali"
)

// maxRecentTallies is how many of the newest rows of the duplicates table may
// still be added to.
const maxRecentTallies = 65536

// recentTallies finds the newest rows of the duplicates table by the event
// that they are of. A repeat of an event that has one adds to it; any other
// gets a new row. So an id that is repeated all day has few rows, and a
// transaction touches only pages near the end of the table, whatever ids are
// repeated.
type recentTallies struct {
	lastID int64           // of the newest row
	ids    map[int64]int64 // row by the seq of the event
}

// tallyTx is what a transaction changes of recentTallies.
type tallyTx struct {
	lastID int64
	moved  map[int64]int64 // new rows by the seq of the event
	seqs   []uint64        // of the new rows, in order
	rows   []any           // arguments of the new rows that are not inserted yet
}

const tallyColumns = 5

// flushTallies inserts the new rows, by the widest statements that they fill.
func (tx *appendTx) flushTallies() error {
	rows := tx.tallies.rows
	tx.tallies.rows = nil
	for _, shape := range tx.w.tallyInserts {
		n := shape.rows * tallyColumns
		for ; len(rows) >= n; rows = rows[n:] {
			if _, err := tx.tx.Stmt(shape.insert).Exec(rows[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// row returns the row of an event if it can be added to.
func (r *recentTallies) row(seq int64) (id int64, ok bool) {
	id, ok = r.ids[seq]
	return id, ok && id > r.lastID-maxRecentTallies
}

// committed takes in what a transaction added.
func (r *recentTallies) committed(tx *tallyTx) {
	r.lastID = tx.lastID
	maps.Copy(r.ids, tx.moved)
	if len(r.ids) < 2*maxRecentTallies {
		return
	}
	for seq, id := range r.ids {
		if id <= r.lastID-maxRecentTallies {
			delete(r.ids, seq)
		}
	}
}

func (tx *appendTx) countDuplicates(t *sekali.DuplicateTally) error {
	topic, err := tx.topic(t.Topic)
	if err != nil {
		return err
	}
	lastAt := t.LastAt.UnixNano()
	c := tx.countsOf(topic)
	c.duplicates += t.Count
	c.conflicts += t.Conflicts
	c.lastAt = max(c.lastAt, lastAt)
	id, ok := tx.tallies.moved[t.Seq]
	if ok { // twice in one batch: the row has to be there
		if err := tx.flushTallies(); err != nil {
			return err
		}
	} else {
		id, ok = tx.w.tallies.row(t.Seq)
	}
	if ok {
		_, err = tx.tx.Stmt(tx.w.addDuplicate).Exec(t.Count, t.Conflicts, lastAt, id)
		return err
	}
	tx.tallies.lastID++
	tx.tallies.moved[t.Seq] = tx.tallies.lastID
	tx.tallies.seqs = append(tx.tallies.seqs, uint64(t.Seq))
	tx.tallies.rows = append(tx.tallies.rows, tx.tallies.lastID, t.Seq, t.Count, t.Conflicts, lastAt)
	return nil
}
