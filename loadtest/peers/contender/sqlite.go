package contender

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

func sqliteKinds() []Kind {
	return []Kind{{
		Name: "sqlite", Family: "sqlite", Label: "Plain unique table (SQLite, in process)",
		Connections: 1, RequestEvents: 5000,
		Settings: []string{
			"modernc.org/sqlite, in the client's process, without a network",
			"journal_mode=WAL", "synchronous=FULL", "cache of 64 MiB",
			"unique (topic, event_id), insert or ignore, transactions of 5,000",
		},
		start: func(Environment, Kind) Peer { return &sqlite{} },
	}}
}

// sqlite is what one writes first: a table with a unique key. Its process is
// ours, so its memory and CPU time are those of the client, too.
type sqlite struct {
	db *sql.DB
}

const sqliteTable = `create table if not exists events (
	seq integer primary key, topic text not null, event_id text not null, source text not null,
	timestamp text not null, payload text not null, unique (topic, event_id)) strict`

// Start opens the database.
func (s *sqlite) Start(ctx context.Context, dir string) (err error) {
	pragmas := url.Values{"_pragma": {"journal_mode(wal)", "synchronous(full)", "cache_size(-65536)"}}
	s.db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "events.db")+"?"+pragmas.Encode())
	if err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if _, err := s.db.ExecContext(ctx, sqliteTable); err != nil {
		return err
	}
	return s.checkPragmas(ctx)
}

// checkPragmas reads back what decides about durability.
func (s *sqlite) checkPragmas(ctx context.Context) error {
	var mode string
	var synchronous int
	err := errors.Join(
		s.db.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode),
		s.db.QueryRowContext(ctx, "pragma synchronous").Scan(&synchronous))
	if err == nil && (mode != "wal" || synchronous != 2) {
		err = fmt.Errorf("journal_mode is %s and synchronous %d, not wal and 2", mode, synchronous)
	}
	return err
}

// Version asks the library.
func (s *sqlite) Version(ctx context.Context) (version string, err error) {
	err = s.db.QueryRowContext(ctx, "select sqlite_version()").Scan(&version)
	return version, err
}

// Process is this process.
func (s *sqlite) Process() int { return os.Getpid() }

const sqliteInsert = `insert or ignore into events (topic, event_id, source, timestamp, payload) values (?, ?, ?, ?, ?)`

// Load inserts batch by batch, each in a transaction.
func (s *sqlite) Load(ctx context.Context, feed *Feed, recorder *measure.Recorder) error {
	statement, err := s.db.PrepareContext(ctx, sqliteInsert)
	if err != nil {
		return err
	}
	defer statement.Close() //nolint:errcheck // The commits have reported what was written.
	return drive(ctx, feed, recorder, []send{func(ctx context.Context, b *events.Batch) (int, int, error) {
		stored, err := s.insert(ctx, statement, b)
		return stored, len(b.Events) - stored, err
	}})
}

func (s *sqlite) insert(ctx context.Context, statement *sql.Stmt, b *events.Batch) (stored int, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // It does nothing after the commit; before it the error is reported.
	statement = tx.StmtContext(ctx, statement)
	for i := range b.Events {
		e := &b.Events[i]
		result, err := statement.ExecContext(ctx, e.Topic, e.ID, e.Source, e.Timestamp, e.Payload)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		stored += int(n)
	}
	return stored, tx.Commit()
}

// Crash closes the database: a process cannot outlive its own kill -9.
func (s *sqlite) Crash() error { return s.Stop() }

// Stop closes the database.
func (s *sqlite) Stop() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return err
}

// Count counts the rows.
func (s *sqlite) Count(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, "select count(*) from events").Scan(&n)
	return n, err
}

// Each reads the table.
func (s *sqlite) Each(ctx context.Context, visit func(events.Event) error) error {
	rows, err := s.db.QueryContext(ctx, "select topic, event_id, source, timestamp, payload from events")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err reports what went wrong.
	if err := eachRow(rows, visit); err != nil {
		return err
	}
	return rows.Err()
}

// eachRow visits the rows of a query for topic, id, source, timestamp and
// payload, whichever database they are of. The caller asks for
// their error, and closes them.
func eachRow(rows interface {
	Next() bool
	Scan(dest ...any) error
}, visit func(events.Event) error,
) error {
	var e events.Event
	for rows.Next() {
		if err := rows.Scan(&e.Topic, &e.ID, &e.Source, &e.Timestamp, &e.Payload); err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}
