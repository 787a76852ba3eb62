package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sekali"
)

// queryTimeout bounds one query and with it the life of a read snapshot: an
// older one would keep the WAL from shrinking.
const queryTimeout = 2 * time.Second

// read runs f with a read connection. The wait for a connection is the
// caller's, by ctx; the time of f is bounded by queryTimeout.
func (s *Store) read(ctx context.Context, f func(ctx context.Context, conn *sql.Conn) error) error {
	conn, err := s.readers.Conn(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(errReadersBusy, err)
		}
		return readError(err)
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return readError(f(ctx, conn))
}

// Totals implements sekali.Store. It is not bounded by queryTimeout: it is
// asked once, at start.
func (s *Store) Totals(ctx context.Context) (sekali.Totals, error) {
	var t sekali.Totals
	err := s.readers.QueryRowContext(ctx, `select count(*), coalesce(sum(unique_count), 0),
		coalesce(sum(duplicate_count), 0), coalesce(sum(conflict_count), 0) from topics`).
		Scan(&t.Topics, &t.Unique, &t.Duplicates, &t.Conflicts)
	return t, readError(err)
}

const topicColumns = `name, unique_count, duplicate_count, conflict_count, first_seen, last_seen`

// Topics implements sekali.Store.
func (s *Store) Topics(ctx context.Context, q sekali.TopicsQuery) (page []sekali.TopicStats, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `select `+topicColumns+` from topics where name > ? order by name limit ?`, q.After, q.Limit)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err has the error
		for rows.Next() {
			t, err := scanTopic(rows)
			if err != nil {
				return err
			}
			page = append(page, t)
		}
		return rows.Err()
	})
	return page, err
}

// Topic implements sekali.Store.
func (s *Store) Topic(ctx context.Context, name string) (t sekali.TopicStats, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		t, err = scanTopic(conn.QueryRowContext(ctx, `select `+topicColumns+` from topics where name = ?`, name))
		if errors.Is(err, sql.ErrNoRows) {
			return &sekali.Error{Code: sekali.CodeNotFound, Message: "there is no such topic"}
		}
		return err
	})
	return t, err
}

// row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(dest ...any) error }

func scanTopic(r row) (sekali.TopicStats, error) {
	var (
		t           sekali.TopicStats
		first, last int64
	)
	err := r.Scan(&t.Topic, &t.Unique, &t.Duplicates, &t.Conflicts, &first, &last)
	t.FirstSeen, t.LastSeen = fromNanos(first), fromNanos(last)
	return t, err
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

const eventColumns = `e.seq, t.name, e.event_id, e.source, e.timestamp, e.event_time, e.processed_at, e.payload`

func scanEvent(r row, more ...any) (sekali.StoredEvent, error) {
	var (
		e                      sekali.StoredEvent
		eventTime, processedAt int64
	)
	dest := append([]any{&e.Seq, &e.Topic, &e.ID, &e.Source, &e.Timestamp, &eventTime, &processedAt, &e.Payload}, more...)
	err := r.Scan(dest...)
	e.Time, e.ProcessedAt = fromNanos(eventTime), fromNanos(processedAt)
	return e, err
}

// Event implements sekali.Store.
func (s *Store) Event(ctx context.Context, topic, id string) (d sekali.EventDetail, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		var lastAt int64
		r := conn.QueryRowContext(ctx, `select `+eventColumns+`, coalesce(d.count, 0), coalesce(d.conflicts, 0), coalesce(d.last_at, 0)
			from topics t join events e on e.topic_id = t.id left join duplicates d on d.seq = e.seq
			where t.name = ? and e.event_id = ?`, topic, id)
		d.StoredEvent, err = scanEvent(r, &d.DuplicateCount, &d.ConflictCount, &lastAt)
		if errors.Is(err, sql.ErrNoRows) {
			return sekali.ErrNotFound
		}
		if lastAt != 0 {
			d.LastDuplicate = fromNanos(lastAt)
		}
		return err
	})
	return d, err
}
