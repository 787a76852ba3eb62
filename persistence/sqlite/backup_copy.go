package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"
)

// copyPage is how many rows are read at a time, in a transaction of its own:
// some milliseconds, so that the log of a running server can shrink in between.
const copyPage = 4096

// backupTarget is the database of a backup that is being written.
type backupTarget struct {
	db     *sql.DB
	tx     *sql.Tx
	insert []insertShape // into events
	tally  []insertShape // into duplicates

	copied int64  // events
	bytes  int64  // of them
	sum    uint64 // of them
}

// createTarget creates an empty database that is not crash-safe: it is not a
// backup before it was synced and its directory renamed.
func createTarget(dir string) (*backupTarget, error) {
	path := filepath.Join(dir, databaseFile)
	if err := createDatabase(path, ""); err != nil {
		return nil, fmt.Errorf("create the database of the backup: %w", err)
	}
	return openTarget(path, commonOptions+"&mode=rw&_txlock=immediate&_journal_mode=MEMORY&_synchronous=OFF&_pragma=locking_mode(exclusive)")
}

// openTargetForMore opens the database of a finished backup: the file does not
// change before its log is moved, which closing does.
func openTargetForMore(dir string) (*backupTarget, error) {
	return openTarget(filepath.Join(dir, databaseFile), writerOptions+"&mode=rw&_synchronous=FULL")
}

func openTarget(path, options string) (*backupTarget, error) {
	db, err := sql.Open("sqlite", fileURI(path, options))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &backupTarget{db: db}, nil
}

// begin begins the one transaction that all goes through.
func (t *backupTarget) begin(ctx context.Context) (err error) {
	if t.tx, err = t.db.BeginTx(context.WithoutCancel(ctx), nil); err != nil {
		return err
	}
	for _, s := range []struct {
		into    *[]insertShape
		text    string
		columns int
	}{
		{&t.insert, `insert into events (` + verifiedColumns + `)`, eventColumnCount},
		{&t.tally, `insert or replace into duplicates (id, seq, count, conflicts, last_at)`, tallyColumns},
	} {
		for _, rows := range insertShapes {
			stmt, err := t.tx.PrepareContext(ctx, s.text+values(rows, s.columns))
			if err != nil {
				return err
			}
			*s.into = append(*s.into, insertShape{rows, stmt})
		}
	}
	return nil
}

// insertAll inserts rows by the widest statements that they fill.
func insertAll(shapes []insertShape, columns int, args []any) error {
	for _, shape := range shapes {
		for n := shape.rows * columns; len(args) >= n; args = args[n:] {
			if _, err := shape.insert.Exec(args[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// copier moves rows from a source into a target.
type copier struct {
	from     *backupSource
	to       *backupTarget
	snap     *snapshot
	page     int64 // rows
	limit    int64 // bytes a second, 0 for none
	progress func(part string, done, total int64)
}

// copyEvents copies the events behind after: the next page is read while one is
// written.
func (c *copier) copyEvents(ctx context.Context, after int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan *eventPage, 2)
	var failure error // set before pages is closed
	go func() {
		defer close(pages)
		failure = c.readPages(ctx, after, pages)
	}()
	start := time.Now()
	for p := range pages {
		if err := insertAll(c.to.insert, eventColumnCount, p.args); err != nil {
			return fmt.Errorf("write events: %w", err)
		}
		c.to.copied += int64(p.rows)
		c.to.bytes += p.bytes
		c.to.sum += p.sum
		c.progress("copy", c.to.copied, c.snap.lastSeq-after)
		if err := c.rest(ctx, start); err != nil {
			return err
		}
	}
	return failure
}

func (c *copier) readPages(ctx context.Context, after int64, pages chan<- *eventPage) error {
	for after < c.snap.lastSeq {
		last := min(after+c.page, c.snap.lastSeq)
		p, err := c.from.events(ctx, c.snap, after, last)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		select {
		case pages <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		after = last
	}
	return nil
}

// rest waits until what was copied is not more than the limit allows.
func (c *copier) rest(ctx context.Context, start time.Time) error {
	if c.limit == 0 {
		return ctx.Err()
	}
	due := time.Duration(float64(c.to.bytes) / float64(c.limit) * float64(time.Second))
	select {
	case <-time.After(due - time.Since(start)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// copyDuplicates copies the rows of duplicates behind after, those that do not
// change any more in pages, the others as they were in the snapshot. It returns
// their sum.
func (c *copier) copyDuplicates(ctx context.Context, after int64) (sum uint64, err error) {
	for after < c.snap.frozen() {
		last := min(after+c.page, c.snap.frozen())
		rows, err := tallyRows(ctx, c.from.db, after, last)
		if err != nil {
			return 0, fmt.Errorf("read the counted repeats: %w", err)
		}
		if err := c.writeTallies(rows, &sum); err != nil {
			return 0, err
		}
		after = last
		c.progress("copy repeats", after, c.snap.lastDuplicate)
	}
	return sum, c.writeTallies(c.snap.recent, &sum)
}

func (c *copier) writeTallies(rows []tallyRow, sum *uint64) error {
	args := make([]any, 0, len(rows)*tallyColumns)
	for _, r := range rows {
		*sum += r.sum()
		args = append(args, r.id, r.seq, r.count, r.conflicts, r.lastAt)
	}
	if err := insertAll(c.to.tally, tallyColumns, args); err != nil {
		return fmt.Errorf("write the counted repeats: %w", err)
	}
	return nil
}

// copyTopics writes the topics that are new or whose counts have changed since
// before, and returns the sum of all.
func (c *copier) copyTopics(ctx context.Context, before map[int64]topicCheck) (sum uint64, err error) {
	put, err := c.to.tx.PrepareContext(ctx, `insert or replace into topics (id, name, unique_count, duplicate_count, conflict_count, first_seen, last_seen) values (?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	for i := range c.snap.topics {
		t := &c.snap.topics[i]
		sum += t.sum()
		if before[t.id] == *t {
			continue
		}
		if _, err := put.ExecContext(ctx, t.id, t.name, t.unique, t.duplicates, t.conflicts, t.firstSeen, t.lastSeen); err != nil {
			return 0, fmt.Errorf("write the topics: %w", err)
		}
	}
	return sum, nil
}

func (c *copier) copyMeta(ctx context.Context) error {
	for _, m := range c.snap.meta {
		if _, err := c.to.tx.ExecContext(ctx, `insert or replace into meta (key, value) values (?, ?)`, m[0], m[1]); err != nil {
			return fmt.Errorf("write the marker rows: %w", err)
		}
	}
	return nil
}

// close ends the transaction if it has not been committed.
func (t *backupTarget) close() error {
	if t.tx != nil {
		_ = t.tx.Rollback() // after a commit it does nothing
	}
	return t.db.Close()
}
