package ceiling

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver that the server's store uses
)

const (
	transactionRows = 5000
	// statementRows is a fast shape: single rows reach 0.65 of its rate, and 10
	// to 250 rows are all alike (BenchmarkStatementRows).
	statementRows = 50
	// checkpointFrames is 12 MiB of WAL, where the server's store checkpoints.
	checkpointFrames = 12 << 20 / (4096 + 24)
)

// appendOptions are the settings of the server's writer: WAL, a sync at every
// commit, checkpoints when we say so, 64 MiB of page cache.
const appendOptions = "_txlock=immediate&_journal_mode=WAL&_synchronous=FULL&_pragma=mmap_size(0)&_pragma=cell_size_check(1)" +
	"&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-65536)"

const appendSchema = `create table events (
	seq          integer primary key,
	topic_id     integer not null,
	event_id     text    not null,
	source       text    not null,
	timestamp    text    not null,
	event_time   integer not null,
	processed_at integer not null,
	payload      blob    not null
) strict`

const columns = 8

// RawAppend appends events to a table in a new SQLite database below dir, as
// fast as it goes: rows like the server's in the order of their key, nothing
// unique and no index, transactions of 5,000 rows in statements of 50, each
// synced at its commit, checkpoints at the size of WAL at which the server has
// them. It returns the rows per second and removes the database.
//
// No store that keeps these rows in SQLite can be faster; what is missing to it
// is the price of HTTP, of parsing and of deduplication.
func RawAppend(ctx context.Context, dir string, events int) (perSecond float64, err error) {
	return rawAppend(ctx, dir, events, statementRows)
}

func rawAppend(ctx context.Context, dir string, events, rowsPerStatement int) (perSecond float64, err error) {
	if events < 1 {
		return 0, fmt.Errorf("the raw append needs events, not %d", events)
	}
	below, err := os.MkdirTemp(dir, "raw-append-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the raw append: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(below)) }()
	a, err := openAppender(ctx, filepath.Join(below, "raw.db"), rowsPerStatement)
	if err != nil {
		return 0, fmt.Errorf("open the raw append: %w", err)
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	start := time.Now()
	for a.seq < int64(events) {
		if err := a.commit(ctx, min(transactionRows, events-int(a.seq))); err != nil {
			return 0, fmt.Errorf("raw append: %w", err)
		}
	}
	return float64(events) / time.Since(start).Seconds(), nil
}

// appender is the one connection that writes.
type appender struct {
	db        *sql.DB
	many, one *sql.Stmt // of rows rows, and of one
	rows      int

	random  *rand.ChaCha8
	payload []byte
	seq     int64
	args    []any // of one statement
}

func openAppender(ctx context.Context, path string, rowsPerStatement int) (*appender, error) {
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: appendOptions}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	a := &appender{
		db: db, rows: rowsPerStatement, random: rand.NewChaCha8([32]byte{}), args: make([]any, 0, rowsPerStatement*columns),
		payload: []byte(`{"n":1,"text":"` + strings.Repeat("x", 133) + `"}`), // 150 bytes, as the load has
	}
	if err := a.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

func (a *appender) prepare(ctx context.Context) (err error) {
	if _, err := a.db.ExecContext(ctx, appendSchema); err != nil {
		return err
	}
	const row = "(?,?,?,?,?,?,?,?)"
	if a.one, err = a.db.PrepareContext(ctx, "insert into events values "+row); err != nil {
		return err
	}
	a.many, err = a.db.PrepareContext(ctx, "insert into events values "+row+strings.Repeat(","+row, a.rows-1))
	return err
}

// commit appends n rows in one transaction and checkpoints when the WAL has
// become as large as the server's may.
func (a *appender) commit(ctx context.Context, n int) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := a.insert(ctx, tx, n); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return a.checkpoint(ctx)
}

func (a *appender) insert(ctx context.Context, tx *sql.Tx, n int) error {
	many, one := tx.StmtContext(ctx, a.many), tx.StmtContext(ctx, a.one)
	for n > 0 {
		statement, rows := many, a.rows
		if n < rows {
			statement, rows = one, 1
		}
		a.args = a.args[:0]
		for range rows {
			a.addRow()
		}
		if _, err := statement.ExecContext(ctx, a.args...); err != nil {
			return err
		}
		n -= rows
	}
	return nil
}

// addRow adds the values of the next event: an id of 32 random hex digits, ten
// topics.
func (a *appender) addRow() {
	a.seq++
	var id [16]byte
	_, _ = a.random.Read(id[:]) // It never fails.
	const day = int64(24 * time.Hour)
	a.args = append(a.args, a.seq, a.seq%10, hex.EncodeToString(id[:]), "loadtest", "2026-01-02T03:04:05.678901Z",
		day+a.seq, day+a.seq, a.payload)
}

func (a *appender) checkpoint(ctx context.Context) error {
	var busy, frames, moved int64
	if err := a.db.QueryRowContext(ctx, "pragma wal_checkpoint(noop)").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if frames-moved < checkpointFrames {
		return nil
	}
	return a.db.QueryRowContext(ctx, "pragma wal_checkpoint(passive)").Scan(&busy, &frames, &moved)
}
