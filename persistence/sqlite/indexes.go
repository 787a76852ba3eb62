package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cespare/xxhash/v2"

	"sekali/persistence/rowindex"
)

// The columns of the events index.
const (
	idColumn    = iota // the key of topic and id: dedup, and one event by its id
	topicColumn        // the number of the topic: pages of one topic
)

// indexes find rows without a B-tree that random ids would tear apart. They
// hold nothing that the tables do not say.
type indexes struct {
	events     *rowindex.Index // seq by idColumn and topicColumn
	duplicates *rowindex.Index // id of a row of duplicates by the event's seq

	tables *sql.DB // for reading what they are made of, however busy the readers are
}

// tableConns serve the goroutines that write, merge and mend segments.
const tableConns = 2

// The names of the indexes, which begin those of their files.
const (
	eventsIndex     = "events"
	duplicatesIndex = "duplicates"
)

var indexColumns = map[string][]rowindex.Column{
	eventsIndex:     {idColumn: {Hashed: true}, topicColumn: {}},
	duplicatesIndex: {{}},
}

// indexFolder is the folder of the index files in the data directory.
const indexFolder = "index"

// openIndexes brings the indexes to the state of the tables, whose newest rows
// are lastSeq and lastTally.
func openIndexes(ctx context.Context, dir string, keys idKeys, lastSeq, lastTally int64, opt Options) (x indexes, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	if x.tables, err = openConns(ctx, filepath.Join(dir, databaseFile), opt, tableConns); err != nil {
		return x, err
	}
	o := rowindex.Options{Dir: filepath.Join(dir, indexFolder), GenerationRows: opt.generationRows, Logger: opt.Logger}
	o.Name, o.Columns, o.Table = eventsIndex, indexColumns[eventsIndex], &eventsTable{x.tables, keys}
	if x.events, err = rowindex.Open(ctx, lastSeq, o); err != nil {
		return x, err
	}
	o.Name, o.Columns, o.Table = duplicatesIndex, indexColumns[duplicatesIndex], &duplicatesTable{x.tables, keys}
	x.duplicates, err = rowindex.Open(ctx, lastTally, o)
	return x, err
}

// ready waits until the indexes have room for another transaction.
func (x *indexes) ready(ctx context.Context) error {
	if err := x.events.Ready(ctx); err != nil {
		return err
	}
	return x.duplicates.Ready(ctx)
}

func (x *indexes) close() error {
	var errs []error
	for _, index := range []*rowindex.Index{x.events, x.duplicates} {
		if index != nil {
			errs = append(errs, index.Close())
		}
	}
	if x.tables != nil {
		errs = append(errs, x.tables.Close())
	}
	return errors.Join(errs...)
}

// eventsTable is the events table as the index sees it.
type eventsTable struct {
	db   *sql.DB
	keys idKeys
}

// Scan implements rowindex.Table.
func (t *eventsTable) Scan(ctx context.Context, first, last int64, add func(int64, []uint64)) error {
	rows, err := t.db.QueryContext(ctx, `select seq, topic_id, event_id from events where seq between ? and ? order by seq`, first, last)
	if err != nil {
		return fmt.Errorf("scan events: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	keys := make([]uint64, 2)
	for rows.Next() {
		var (
			seq, topic int64
			id         sql.RawBytes
		)
		if err := rows.Scan(&seq, &topic, &id); err != nil {
			return fmt.Errorf("scan events: %w", err)
		}
		keys[idColumn], keys[topicColumn] = t.keys.of(topic, string(id)), uint64(topic)
		add(seq, keys)
	}
	return rows.Err()
}

// Stamp implements rowindex.Table.
func (t *eventsTable) Stamp(ctx context.Context, row int64) (uint64, error) {
	var sum int64
	err := t.db.QueryRowContext(ctx, `select checksum from events where seq = ?`, row).Scan(&sum)
	return stampOf(t.keys, uint64(sum), err)
}

// stampOf is the stamp of a row that was read with err.
func stampOf(keys idKeys, sum uint64, err error) (uint64, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the row of a stamp: %w", err)
	}
	return keys.stamp(sum), nil
}

// duplicatesTable is the duplicates table as the index sees it.
type duplicatesTable struct {
	db   *sql.DB
	keys idKeys
}

// Scan implements rowindex.Table.
func (t *duplicatesTable) Scan(ctx context.Context, first, last int64, add func(int64, []uint64)) error {
	rows, err := t.db.QueryContext(ctx, `select id, seq from duplicates where id between ? and ? order by id`, first, last)
	if err != nil {
		return fmt.Errorf("scan duplicates: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	keys := make([]uint64, 1)
	for rows.Next() {
		var id, seq int64
		if err := rows.Scan(&id, &seq); err != nil {
			return fmt.Errorf("scan duplicates: %w", err)
		}
		keys[0] = uint64(seq)
		add(id, keys)
	}
	return rows.Err()
}

// Stamp implements rowindex.Table. A row's counts change, its event does not.
func (t *duplicatesTable) Stamp(ctx context.Context, row int64) (uint64, error) {
	var seq int64
	err := t.db.QueryRowContext(ctx, `select seq from duplicates where id = ?`, row).Scan(&seq)
	return stampOf(t.keys, duplicateSum(row, seq), err)
}

// duplicateSum is the checksum of what does not change of a row of duplicates.
func duplicateSum(row, seq int64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(row))
	binary.LittleEndian.PutUint64(b[8:], uint64(seq))
	return xxhash.Sum64(b[:])
}
