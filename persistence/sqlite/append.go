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
	tx *sql.Tx
	at int64 // the batch's time, in nanoseconds

	batch     int64 // number of the transaction
	lastSeq   int64
	decisions []sekali.Decision
	newTopics []string
	created   map[string]int64       // topic numbers first seen in this transaction
	counts    map[int64]*topicCounts // by topic number

	// Of the events that are stored, in order of their seq.
	stored       []*sekali.Event
	keys, topics []uint64

	tallies tallyTx
}

// topicCounts is what a transaction adds to one topic.
type topicCounts struct {
	unique, duplicates, conflicts, lastAt int64
}

func newAppendTx(w *writer, tx *sql.Tx, at time.Time) *appendTx {
	return &appendTx{
		w: w, tx: tx, at: at.UnixNano(), batch: w.lastBatch + 1, lastSeq: w.lastSeq,
		created: make(map[string]int64), counts: make(map[int64]*topicCounts),
		tallies: tallyTx{lastID: w.tallies.lastID, moved: make(map[int64]int64)},
	}
}

func (tx *appendTx) apply(b sekali.Batch) error {
	if err := tx.decide(b.Events); err != nil {
		return fmt.Errorf("decide events: %w", err)
	}
	if err := tx.insertEvents(); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	for i := range b.Duplicates {
		if err := tx.countDuplicates(&b.Duplicates[i]); err != nil {
			return fmt.Errorf("count duplicates: %w", err)
		}
	}
	if err := tx.flushTallies(); err != nil {
		return fmt.Errorf("count duplicates: %w", err)
	}
	return tx.writeCounts()
}

// decide tells new events from known ones: the index names the rows with the
// key of an id, and the rows themselves decide.
func (tx *appendTx) decide(events []sekali.Event) error {
	tx.decisions = make([]sekali.Decision, len(events))
	tx.stored = make([]*sekali.Event, 0, len(events))
	topics, keys := make([]int64, len(events)), make([]uint64, len(events))
	names := make(map[int64]string)
	for i := range events {
		topic, err := tx.topic(events[i].Topic)
		if err != nil {
			return err
		}
		topics[i], keys[i] = topic, tx.w.keys.of(topic, events[i].ID)
		names[topic] = events[i].Topic
	}
	rows := make(map[int][]int64) // by event: those that may hold its id
	var all []int64
	err := tx.w.indexes.events.FindAll(idColumn, keys, func(i int, row int64) {
		rows[i] = append(rows[i], row)
		all = append(all, row)
	})
	if err != nil {
		return err
	}
	known, err := tx.w.judge.known(all, names)
	if err != nil {
		return err
	}
	clear(tx.w.inBatch)
	for i := range events {
		tx.decideEvent(i, &events[i], topics[i], keys[i], rows[i], known)
	}
	return nil
}

// decideEvent decides event i of the batch, whose id the given rows may hold.
func (tx *appendTx) decideEvent(i int, e *sekali.Event, topic int64, key uint64, rows []int64, known map[int64]knownEvent) {
	for _, row := range rows {
		if k := known[row]; k.topic == topic && k.id == e.ID {
			tx.decisions[i] = sekali.Decision{Seq: row, Fingerprint: k.fingerprint}
			return
		}
	}
	identity := inBatchKey{topic, e.ID}
	if first, ok := tx.w.inBatch[identity]; ok {
		tx.decisions[i] = sekali.Decision{Seq: first.seq, Fingerprint: first.event.Fingerprint()}
		return
	}
	tx.lastSeq++
	tx.decisions[i] = sekali.Decision{Stored: true, Seq: tx.lastSeq}
	tx.w.inBatch[identity] = inBatchEvent{tx.lastSeq, e}
	tx.stored = append(tx.stored, e)
	tx.keys = append(tx.keys, key)
	tx.topics = append(tx.topics, uint64(topic))
	count := tx.countsOf(topic)
	count.unique++
	count.lastAt = max(count.lastAt, tx.at)
}

// insertEvents inserts the events to be stored, by the widest statements that
// they fill.
func (tx *appendTx) insertEvents() error {
	seq, events, topics := tx.w.lastSeq+1, tx.stored, tx.topics
	var same sameArgs
	same.at, same.batch = tx.at, tx.batch
	for i := range tx.w.inserts {
		shape := &tx.w.inserts[i]
		if len(events) < shape.rows {
			continue
		}
		insert := tx.tx.Stmt(shape.insert)
		for len(events) >= shape.rows {
			args := tx.w.args[:0]
			for j, e := range events[:shape.rows] {
				args = tx.appendArgs(args, seq+int64(j), int64(topics[j]), e, &same)
			}
			if _, err := insert.Exec(args...); err != nil {
				return err
			}
			seq += int64(shape.rows)
			events, topics = events[shape.rows:], topics[shape.rows:]
		}
	}
	clear(tx.w.args[:cap(tx.w.args)]) // keeps no event alive
	return nil
}

// sameArgs are arguments that many rows share: each conversion to any is an
// allocation.
type sameArgs struct {
	at, batch any
	topic     any // the number of the topic before
	number    int64
}

func (s *sameArgs) topicArg(number int64) any {
	if s.topic == nil || s.number != number {
		s.topic, s.number = number, number
	}
	return s.topic
}

func (tx *appendTx) appendArgs(args []any, seq, topic int64, e *sekali.Event, same *sameArgs) []any {
	r := eventRow{
		seq: seq, topic: topic, topicName: e.Topic, id: e.ID, source: e.Source, timestamp: e.Timestamp,
		eventTime: e.Time.UnixNano(), processedAt: tx.at, batch: tx.batch, payload: e.Payload,
	}
	var sum int64
	sum, tx.w.scratch = r.checksum(tx.w.scratch)
	return append(args, seq, same.topicArg(topic), e.ID, e.Source, e.Timestamp, r.eventTime, same.at, same.batch, sum, e.Payload)
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
	switch err := tx.tx.Stmt(tx.w.topicID).QueryRow(name).Scan(&id); {
	case err == nil:
		tx.w.rememberTopic(name, id) // committed earlier, so safe to keep
		return id, nil
	case !errors.Is(err, sql.ErrNoRows):
		return 0, err
	}
	res, err := tx.tx.Stmt(tx.w.insertTopic).Exec(name, tx.at, tx.at)
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

func (tx *appendTx) writeCounts() error {
	addCounts := tx.tx.Stmt(tx.w.addCounts)
	for topic, c := range tx.counts {
		if _, err := addCounts.Exec(c.unique, c.duplicates, c.conflicts, c.lastAt, topic); err != nil {
			return fmt.Errorf("add to the counts of a topic: %w", err)
		}
	}
	return nil
}
