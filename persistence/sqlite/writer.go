package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sekali"
)

// maxCachedTopics bounds the writer's memory of topic numbers, in entries of
// about 150 bytes.
const maxCachedTopics = 65536

// writer owns the one connection that writes. It is used by one goroutine at
// a time.
type writer struct {
	db      *sql.DB
	lastSeq int64
	topics  map[string]int64 // committed topic numbers, a cache

	statements
}

// statements are those of a transaction.
type statements struct {
	insertEvent, firstEvent, insertTopic, topicID, addCounts, addDuplicate *sql.Stmt
}

// in returns the statements for use in a transaction.
func (s *statements) in(tx *sql.Tx) statements {
	return statements{
		insertEvent: tx.Stmt(s.insertEvent), firstEvent: tx.Stmt(s.firstEvent),
		insertTopic: tx.Stmt(s.insertTopic), topicID: tx.Stmt(s.topicID),
		addCounts: tx.Stmt(s.addCounts), addDuplicate: tx.Stmt(s.addDuplicate),
	}
}

func openWriter(ctx context.Context, path string, d Durability) (_ *writer, err error) {
	db, err := sql.Open("sqlite", writerDSN(path, d))
	if err != nil {
		return nil, fmt.Errorf("open the writer: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	db.SetMaxOpenConns(1)
	w := &writer{db: db, topics: make(map[string]int64)}
	if err := checkIdentity(ctx, db); err != nil {
		return nil, err
	}
	if err := checkSettings(ctx, db, d); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		return nil, err
	}
	if err := db.QueryRowContext(ctx, "select coalesce(max(seq), 0) from events").Scan(&w.lastSeq); err != nil {
		return nil, fmt.Errorf("restore the last seq: %w", err)
	}
	return w, nil
}

func (w *writer) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.insertEvent, `insert into events (seq, topic_id, event_id, source, timestamp, event_time, processed_at, payload)
			values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (topic_id, event_id) do nothing`},
		{&w.firstEvent, `select seq, source, timestamp, payload from events where topic_id = ? and event_id = ?`},
		{&w.insertTopic, `insert into topics (name, first_seen, last_seen) values (?, ?, ?)`},
		{&w.topicID, `select id from topics where name = ?`},
		{&w.addCounts, `update topics set unique_count = unique_count + ?, duplicate_count = duplicate_count + ?,
			conflict_count = conflict_count + ?, last_seen = max(last_seen, ?) where id = ?`},
		{&w.addDuplicate, `insert into duplicates (seq, count, conflicts, last_at) values (?, ?, ?, ?)
			on conflict (seq) do update set count = count + excluded.count,
			conflicts = conflicts + excluded.conflicts, last_at = max(last_at, excluded.last_at)`},
	} {
		stmt, err := w.db.PrepareContext(ctx, p.text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
		*p.stmt = stmt
	}
	return nil
}

// appendBatch runs one transaction. When it returns without error the batch is
// on stable storage; only then do the writer's own memories change. Statements
// run without a request's context: a client that hangs up does not undo a
// write.
func (w *writer) appendBatch(b sekali.Batch) (sekali.Appended, error) {
	sqlTx, err := w.db.BeginTx(context.Background(), nil)
	if err != nil {
		return sekali.Appended{}, fmt.Errorf("begin: %w", err)
	}
	tx := newAppendTx(w, sqlTx, b.At)
	if err := tx.apply(b); err != nil {
		_ = sqlTx.Rollback() // SQLite may have rolled back by itself; err tells why
		return sekali.Appended{}, err
	}
	if err := sqlTx.Commit(); err != nil {
		_ = sqlTx.Rollback() // as above
		return sekali.Appended{}, fmt.Errorf("commit: %w", err)
	}
	w.lastSeq = tx.lastSeq
	w.rememberTopics(tx.created)
	return sekali.Appended{Decisions: tx.decisions, NewTopics: tx.newTopics}, nil
}

func (w *writer) rememberTopics(created map[string]int64) {
	for name, id := range created {
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

func (w *writer) close() error { return w.db.Close() }
