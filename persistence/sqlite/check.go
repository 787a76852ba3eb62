package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// What of the database is checked, and when (ADR 0011): the newest rows at every
// start; after an end without Close also the structure of a small database, and
// in the background every row, in steps that hold nobody up. A whole
// quick_check of a large database takes longer than a restart may.
const (
	// tailRows are checked at every start: an interrupted write shows in the
	// newest rows first, and reading them takes some milliseconds.
	tailRows = 4096
	// quickCheckBytes is the size up to which quick_check takes a fraction of a
	// second (0.25 GB a second).
	quickCheckBytes = 64 << 20
	// scrubRows are read at a time in the background; then it rests scrubRest
	// times as long.
	scrubRows = 2048
	scrubRest = 3
	// scrubReports is how many damaged events are named in the log.
	scrubReports = 100
)

// rowCheck goes through rows of events, by rising seq.
type rowCheck struct {
	gaps    bool  // seqs may be missing: a loss was accepted
	before  int64 // the seq before, 0 for none
	rows    int64
	scratch []byte
	// report gets what is wrong with a row, and ends the check by an error.
	report func(error) error
}

const checkedColumns = `e.seq, e.topic_id, coalesce(t.name, ''), e.event_id, e.source, e.timestamp, e.event_time, e.processed_at, e.batch, e.checksum, e.payload`

// run checks the rows of a query for checkedColumns.
func (c *rowCheck) run(ctx context.Context, db *sql.DB, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		var (
			r       eventRow
			sum     int64
			payload sql.RawBytes
		)
		if err := rows.Scan(&r.seq, &r.topic, &r.topicName, &r.id, &r.source, &r.timestamp, &r.eventTime, &r.processedAt, &r.batch, &sum, &payload); err != nil {
			return fmt.Errorf("read the event behind %d: %w", c.before, err)
		}
		r.payload = payload
		if err := c.row(&r, sum); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *rowCheck) row(r *eventRow, sum int64) error {
	before := c.before
	c.before = r.seq
	c.rows++
	if before > 0 && r.seq != before+1 && !c.gaps {
		if err := c.report(fmt.Errorf("the events from %d to %d are missing: %w", before+1, r.seq-1, errRowDamaged)); err != nil {
			return err
		}
	}
	var actual int64
	if actual, c.scratch = r.checksum(c.scratch); actual != sum {
		return c.report(fmt.Errorf("event %d: %w", r.seq, errRowDamaged))
	}
	return nil
}

// checkAtStart refuses a database whose newest events are not what was written
// and, after an end without Close, a small one whose structure is damaged.
func (s *Store) checkAtStart(ctx context.Context) error {
	c := rowCheck{gaps: s.writer.gaps, report: func(err error) error { return err }}
	err := c.run(ctx, s.readers, `select `+checkedColumns+` from (select * from events order by seq desc limit ?) e
		left join topics t on t.id = e.topic_id order by e.seq`, s.options.tailRows)
	if err != nil {
		return damaged(err)
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("ask for the size of the database: %w", err)
	}
	if !s.unclean || info.Size() > quickCheckBytes {
		return nil
	}
	var verdict string
	if err := s.readers.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict); err != nil {
		return damaged(err)
	}
	if verdict != "ok" {
		return damaged(errors.New(verdict))
	}
	return nil
}

func damaged(err error) error {
	return fmt.Errorf("%s is damaged: %w; 'sekali verify' says what else is, and 'sekali restore' brings a backup back", databaseFile, err)
}

// scrub checks every event that was there at the start. What it finds is said
// and not more: the other events are what they were, and one of these is
// refused as soon as an answer depends on it (judge.go).
func (s *Store) scrub() {
	var (
		last     = s.visible.Load()
		begun    = time.Now()
		findings int
	)
	c := rowCheck{gaps: s.writer.gaps}
	c.report = func(err error) error {
		if findings++; findings <= scrubReports {
			s.log.Error("a stored event is damaged; run 'sekali verify', and restore a backup", "error", err)
		}
		return nil
	}
	for first := int64(1); first <= last; first += scrubRows {
		worked := time.Now()
		err := c.run(context.Background(), s.scrubber, `select `+checkedColumns+` from events e left join topics t on t.id = e.topic_id
			where e.seq between ? and ? order by e.seq`, first, min(last, first+scrubRows-1))
		if err != nil {
			s.log.Error("the database cannot be read; run 'sekali verify', and restore a backup", "first_seq", first, "error", err)
			return
		}
		if s.pause(scrubRest * time.Since(worked)) {
			return
		}
	}
	s.log.Info("every event was checked, because the store had not been closed", "events", c.rows, "damaged", findings, "seconds", time.Since(begun).Seconds())
}

// pause waits, or returns true when the store is being closed.
func (s *Store) pause(d time.Duration) (closing bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-s.closing:
		return true
	}
}
