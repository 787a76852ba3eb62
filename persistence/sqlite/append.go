package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sekali"
)

// appendTx is the state of one AppendBatch transaction; it is thrown away when
// the transaction fails.
type appendTx struct {
	w  *writer
	at int64 // the batch's time, in nanoseconds

	statements

	lastSeq   int64
	decisions []sekali.Decision
	newTopics []string
	created   map[string]int64       // topic numbers first seen in this transaction
	counts    map[int64]*topicCounts // by topic number
}

// topicCounts is what a transaction adds to one topic.
type topicCounts struct {
	unique, duplicates, conflicts, lastAt int64
}

func newAppendTx(w *writer, tx *sql.Tx, at time.Time) *appendTx {
	return &appendTx{
		w: w, at: at.UnixNano(), lastSeq: w.lastSeq,
		statements: w.in(tx),
		created:    make(map[string]int64), counts: make(map[int64]*topicCounts),
	}
}

func (tx *appendTx) apply(b sekali.Batch) error {
	tx.decisions = make([]sekali.Decision, len(b.Events))
	for i := range b.Events {
		d, err := tx.appendEvent(&b.Events[i])
		if err != nil {
			return fmt.Errorf("insert event: %w", err)
		}
		tx.decisions[i] = d
	}
	for i := range b.Duplicates {
		if err := tx.countDuplicates(&b.Duplicates[i]); err != nil {
			return fmt.Errorf("count duplicates: %w", err)
		}
	}
	return tx.writeCounts()
}

// appendEvent stores e unless its id is taken. The unique key decides.
func (tx *appendTx) appendEvent(e *sekali.Event) (sekali.Decision, error) {
	topic, err := tx.topic(e.Topic)
	if err != nil {
		return sekali.Decision{}, err
	}
	seq := tx.lastSeq + 1
	res, err := tx.insertEvent.Exec(seq, topic, e.ID, e.Source, e.Timestamp, e.Time.UnixNano(), tx.at, e.Payload)
	if err != nil {
		return sekali.Decision{}, err
	}
	switch n, err := res.RowsAffected(); {
	case err != nil:
		return sekali.Decision{}, err
	case n == 0:
		return tx.existing(topic, e.ID)
	}
	tx.lastSeq = seq
	c := tx.countsOf(topic)
	c.unique++
	c.lastAt = max(c.lastAt, tx.at)
	return sekali.Decision{Stored: true, Seq: seq}, nil
}

func (tx *appendTx) existing(topic int64, id string) (sekali.Decision, error) {
	var (
		d                 sekali.Decision
		source, timestamp string
		payload           []byte
	)
	if err := tx.firstEvent.QueryRow(topic, id).Scan(&d.Seq, &source, &timestamp, &payload); err != nil {
		return sekali.Decision{}, fmt.Errorf("read the first event of a duplicate: %w", err)
	}
	d.Fingerprint = sekali.ContentFingerprint(source, timestamp, payload)
	return d, nil
}

// topic returns the number of a topic, creating the topic when it is new.
func (tx *appendTx) topic(name string) (int64, error) {
	if id, ok := tx.w.topics[name]; ok {
		return id, nil
	}
	if id, ok := tx.created[name]; ok {
		return id, nil
	}
	var id int64
	switch err := tx.topicID.QueryRow(name).Scan(&id); {
	case err == nil:
		tx.w.rememberTopic(name, id) // committed earlier, so safe to keep
		return id, nil
	case !errors.Is(err, sql.ErrNoRows):
		return 0, err
	}
	res, err := tx.insertTopic.Exec(name, tx.at, tx.at)
	if err != nil {
		return 0, err
	}
	if id, err = res.LastInsertId(); err != nil {
		return 0, err
	}
	tx.created[name] = id
	tx.newTopics = append(tx.newTopics, name)
	return id, nil
}

func (tx *appendTx) countsOf(topic int64) *topicCounts {
	c := tx.counts[topic]
	if c == nil {
		c = &topicCounts{}
		tx.counts[topic] = c
	}
	return c
}

func (tx *appendTx) countDuplicates(t *sekali.DuplicateTally) error {
	topic, err := tx.topic(t.Topic)
	if err != nil {
		return err
	}
	lastAt := t.LastAt.UnixNano()
	if _, err := tx.addDuplicate.Exec(t.Seq, t.Count, t.Conflicts, lastAt); err != nil {
		return err
	}
	c := tx.countsOf(topic)
	c.duplicates += t.Count
	c.conflicts += t.Conflicts
	c.lastAt = max(c.lastAt, lastAt)
	return nil
}

func (tx *appendTx) writeCounts() error {
	for topic, c := range tx.counts {
		if _, err := tx.addCounts.Exec(c.unique, c.duplicates, c.conflicts, c.lastAt, topic); err != nil {
			return fmt.Errorf("add to the counts of a topic: %w", err)
		}
	}
	return nil
}
