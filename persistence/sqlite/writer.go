package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekali"
)

// maxCachedTopics bounds the writer's memory of topic numbers, in entries of
// about 150 bytes.
const maxCachedTopics = 65536

// The shapes of the statements, chosen by BenchmarkInsertShapes: of 5,000 rows
// one at a time go in at 180,000 a second, 50 at a time at 320,000; wider ones
// gain little.
var insertShapes = []int{50, 10, 1}

// writer owns the one connection that writes. It is used by one goroutine at
// a time.
type writer struct {
	db        *sql.DB
	keys      idKeys
	indexes   indexes
	judge     *judge
	lastSeq   int64
	lastBatch int64
	lastAt    time.Time        // of the last transaction
	repeats   int64            // duplicates counted over all topics
	gaps      bool             // a loss was accepted: seqs may be missing
	topics    map[string]int64 // committed topic numbers, a cache
	tallies   recentTallies

	inserts, tallyInserts                         []insertShape
	insertTopic, topicID, addCounts, addDuplicate *sql.Stmt

	// Memory of a transaction that is used again by the next.
	inBatch map[inBatchKey]inBatchEvent
	args    []any
	scratch []byte
}

// insertShape is a statement that inserts a number of rows.
type insertShape struct {
	rows   int
	insert *sql.Stmt
}

// inBatchKey finds an id that repeats within a batch.
type inBatchKey struct {
	topic int64
	id    string
}

type inBatchEvent struct {
	seq   int64
	event *sekali.Event
}

func openWriter(ctx context.Context, path string, o Options) (_ *writer, err error) {
	db, err := sql.Open("sqlite", withVFS(writerDSN(path, o.Durability), o.vfs))
	if err != nil {
		return nil, fmt.Errorf("open the writer: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	db.SetMaxOpenConns(1)
	w := &writer{
		db: db, topics: make(map[string]int64),
		tallies: recentTallies{ids: make(map[int64]int64)},
		inBatch: make(map[inBatchKey]inBatchEvent),
		args:    make([]any, 0, insertShapes[0]*eventColumnCount),
	}
	if err := checkIdentity(ctx, db); err != nil {
		return nil, err
	}
	if err := checkSettings(ctx, db, o.Durability); err != nil {
		return nil, err
	}
	if w.keys, err = readKeys(ctx, db); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		return nil, err
	}
	return w, w.restore(ctx)
}

// restore reads where the tables end.
func (w *writer) restore(ctx context.Context) error {
	var at int64
	err := w.db.QueryRowContext(ctx, `select seq, batch, processed_at from events order by seq desc limit 1`).Scan(&w.lastSeq, &w.lastBatch, &at)
	switch {
	case err == nil:
		w.lastAt = fromNanos(at)
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("restore the last seq: %w", err)
	}
	seq, batch, err := readFloor(ctx, w.db)
	if err != nil {
		return err
	}
	w.gaps = seq > 0
	w.lastSeq, w.lastBatch = max(w.lastSeq, seq), max(w.lastBatch, batch)
	if err := w.db.QueryRowContext(ctx, `select coalesce(sum(duplicate_count), 0) from topics`).Scan(&w.repeats); err != nil {
		return fmt.Errorf("restore the count of duplicates: %w", err)
	}
	if err := w.db.QueryRowContext(ctx, `select coalesce(max(id), 0) from duplicates`).Scan(&w.tallies.lastID); err != nil {
		return fmt.Errorf("restore the last duplicate: %w", err)
	}
	return nil
}

// position is how far the database has come.
func (w *writer) position() Mark {
	return Mark{Batch: w.lastBatch, Seq: w.lastSeq, Repeats: w.repeats, At: w.lastAt, database: w.keys.stamp(0)}
}

const eventColumnCount = 10

// values is the part of an insert that takes the arguments of some rows.
func values(rows, columns int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	return " values " + strings.Join(slices.Repeat([]string{row}, rows), ", ")
}

func (w *writer) prepare(ctx context.Context) error {
	w.inserts, w.tallyInserts = make([]insertShape, len(insertShapes)), make([]insertShape, len(insertShapes))
	type statement struct {
		into **sql.Stmt
		text string
	}
	statements := []statement{
		{&w.insertTopic, `insert into topics (name, first_seen, last_seen) values (?, ?, ?)`},
		{&w.topicID, `select id from topics where name = ?`},
		{&w.addCounts, `update topics set unique_count = unique_count + ?, duplicate_count = duplicate_count + ?,
			conflict_count = conflict_count + ?, last_seen = max(last_seen, ?) where id = ?`},
		{&w.addDuplicate, `update duplicates set count = count + ?, conflicts = conflicts + ?, last_at = max(last_at, ?) where id = ?`},
	}
	for i, rows := range insertShapes {
		w.inserts[i].rows, w.tallyInserts[i].rows = rows, rows
		statements = append(statements,
			statement{&w.inserts[i].insert, `insert into events (seq, topic_id, event_id, source, timestamp, event_time, processed_at, batch, checksum, payload)` +
				values(rows, eventColumnCount)},
			statement{&w.tallyInserts[i].insert, `insert into duplicates (id, seq, count, conflicts, last_at)` + values(rows, tallyColumns)})
	}
	for _, s := range statements {
		stmt, err := w.db.PrepareContext(ctx, s.text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.text, err)
		}
		*s.into = stmt
	}
	return nil
}

// appendBatch runs one transaction. When it returns without error the batch is
// on stable storage; only then do the writer's own memories and the indexes
// change. Statements run without a request's context: a client that hangs up
// does not undo a write.
//
// Next: [appendTx.decide].
func (w *writer) appendBatch(b sekali.Batch) (sekali.Appended, error) {
	sqlTx, err := w.db.BeginTx(context.Background(), nil)
	if err != nil {
		return sekali.Appended{}, fmt.Errorf("begin: %w", err)
	}
	// Also after a panic. After a commit it does nothing; after an error SQLite
	// may have rolled back by itself, and that error tells why.
	defer func() { _ = sqlTx.Rollback() }()
	tx := newAppendTx(w, sqlTx, b.At)
	if err := tx.apply(b); err != nil {
		return sekali.Appended{}, err
	}
	if err := sqlTx.Commit(); err != nil {
		return sekali.Appended{}, fmt.Errorf("commit: %w", err)
	}
	w.committed(tx)
	return sekali.Appended{Decisions: tx.decisions, NewTopics: tx.newTopics}, nil
}

// committed remembers what a transaction has made durable.
func (w *writer) committed(tx *appendTx) {
	if len(tx.stored) > 0 {
		w.indexes.events.Add(w.lastSeq+1, tx.keys, tx.topics)
		w.lastSeq, w.lastBatch = tx.lastSeq, tx.batch
	}
	if len(tx.tallies.seqs) > 0 {
		w.indexes.duplicates.Add(w.tallies.lastID+1, tx.tallies.seqs)
	}
	w.tallies.committed(&tx.tallies)
	for _, c := range tx.counts {
		w.repeats += c.duplicates
	}
	for name, id := range tx.created {
		w.rememberTopic(name, id)
	}
}

func (w *writer) rememberTopic(name string, id int64) {
	for evicted := range w.topics {
		if len(w.topics) < maxCachedTopics {
			break
		}
		delete(w.topics, evicted) // any one: map order is random enough
	}
	w.topics[name] = id
}

func (w *writer) close() error {
	var err error
	if w.judge != nil {
		err = w.judge.close()
	}
	return errors.Join(err, w.db.Close())
}
