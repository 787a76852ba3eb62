package ceiling

import (
	"context"
	"database/sql"
	"encoding/binary"
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

	"sekali/persistence/writeback"
)

const (
	transactionRows = 5000
	payloadBytes    = 140 // as the events of the load have
	// statementRows is a fast shape: single rows reach 0.65 of its rate, and 10
	// to 250 rows are all alike (BenchmarkStatementRows).
	statementRows = 50
	// As the server's store has them: 2 MiB of the WAL are moved at a time, and
	// it is begun anew at 64 MiB.
	moveFrames  = 2 << 20 / (4096 + 24)
	renewFrames = 64 << 20 / (4096 + 24)
)

// appendOptions are the settings of the server's writer: WAL, a sync at every
// commit, checkpoints when we say so, 16 MiB of page cache.
const appendOptions = "_txlock=immediate&_journal_mode=WAL&_synchronous=FULL&_pragma=mmap_size(0)&_pragma=cell_size_check(1)" +
	"&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(134217728)&_pragma=cache_size(-16384)"

const appendSchema = `create table events (
	seq          integer primary key,
	topic_id     integer not null,
	event_id     text    not null,
	source       text    not null,
	timestamp    text    not null,
	event_time   integer not null,
	processed_at integer not null,
	batch        integer not null,
	checksum     integer not null,
	payload      blob    not null
) strict`

const columnCount = 10

// RawAppend appends events to a table in a new SQLite database below dir, as
// fast as it goes: rows like the server's in the order of their key, nothing
// unique and no index, transactions of 5,000 rows in statements of 50, each
// synced at its commit, the WAL moved into the database when and as the server
// does it. It returns the rows per second and removes the database.
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
	defer func() { err = errors.Join(err, a.close()) }()
	start := time.Now()
	for a.seq < int64(events) {
		if err := a.commit(ctx, min(transactionRows, events-int(a.seq))); err != nil {
			return 0, fmt.Errorf("raw append: %w", err)
		}
	}
	return float64(events) / time.Since(start).Seconds(), nil
}

// appender writes on one connection and moves the WAL on another.
type appender struct {
	db        *sql.DB
	many, one *sql.Stmt // of rows rows, and of one
	rows      int

	mover            *sql.DB
	file             *os.File // the database once more, to flush it
	moveAt           int64    // frames of the WAL that are left to be moved
	renewAt          int64    // frames of the WAL in all
	moving, renewing bool
	moved            chan error // receives one when moving is set

	random  *rand.ChaCha8
	payload []byte
	seq     int64
	args    []any // of one statement
}

func openAppender(ctx context.Context, path string, rowsPerStatement int) (_ *appender, err error) {
	a := &appender{
		rows: rowsPerStatement, moveAt: moveFrames, renewAt: renewFrames, moved: make(chan error, 1), random: rand.NewChaCha8([32]byte{}),
		args:    make([]any, 0, rowsPerStatement*columnCount),
		payload: []byte(`{"data":"` + strings.Repeat("x", payloadBytes-11) + `"}`),
	}
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: appendOptions}
	for _, db := range []**sql.DB{&a.db, &a.mover} {
		if *db, err = sql.Open("sqlite", file.String()); err != nil {
			return nil, errors.Join(err, a.close())
		}
		(*db).SetMaxOpenConns(1)
	}
	if err := a.prepare(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	if a.file, err = os.Open(path); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *appender) close() error {
	var errs []error
	if a.moving {
		errs = append(errs, <-a.moved)
	}
	for _, db := range []*sql.DB{a.mover, a.db} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if a.file != nil { // only now: closing it may drop the locks of SQLite's own
		errs = append(errs, a.file.Close())
	}
	return errors.Join(errs...)
}

func (a *appender) prepare(ctx context.Context) (err error) {
	if _, err := a.db.ExecContext(ctx, appendSchema); err != nil {
		return err
	}
	row := "(?" + strings.Repeat(",?", columnCount-1) + ")"
	if a.one, err = a.db.PrepareContext(ctx, "insert into events values "+row); err != nil {
		return err
	}
	a.many, err = a.db.PrepareContext(ctx, "insert into events values "+row+strings.Repeat(","+row, a.rows-1))
	return err
}

// commit appends n rows in one transaction and looks after the WAL.
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
	const now = int64(1_760_000_000_000_000_000)
	checksum := int64(binary.LittleEndian.Uint64(id[:])) // any 64 bits take as much space
	a.args = append(a.args, a.seq, a.seq%10, hex.EncodeToString(id[:]), "loadtest", "2025-10-24T10:30:00Z",
		now, now+a.seq, a.seq/transactionRows, checksum, a.payload)
}

// checkpoint moves the WAL as the server does: beside the commits, by a
// connection of its own that also gives the disk what it moved; and when the
// WAL is to begin anew, what is left between two of them.
func (a *appender) checkpoint(ctx context.Context) error {
	select {
	case err := <-a.moved:
		a.moving = false
		if err != nil || !a.renewing {
			return err
		}
		_, err = checkpoint(ctx, a.db, "passive")
		return err
	default:
	}
	if a.moving {
		return nil
	}
	wal, err := checkpoint(ctx, a.db, "noop")
	if err != nil || wal.left < a.moveAt && wal.size < a.renewAt {
		return err
	}
	a.moving, a.renewing = true, wal.size >= a.renewAt
	go func() { a.moved <- a.moveAside(ctx, a.renewing) }()
	return nil
}

func (a *appender) moveAside(ctx context.Context, sync bool) error {
	if _, err := checkpoint(ctx, a.mover, "passive"); err != nil {
		return err
	}
	if err := writeback.Range(a.file, 0, 0); err != nil || !sync {
		return err
	}
	return a.file.Sync()
}

// walFrames are the frames of the WAL, and those of them that are left to be
// moved.
type walFrames struct{ size, left int64 }

func checkpoint(ctx context.Context, db *sql.DB, mode string) (walFrames, error) {
	var busy, frames, moved int64
	err := db.QueryRowContext(ctx, "pragma wal_checkpoint("+mode+")").Scan(&busy, &frames, &moved)
	return walFrames{frames, frames - moved}, err
}
