package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
)

// backupSource is a data directory that is being copied: of a running server,
// read beside it, or one at rest, which is locked meanwhile.
type backupSource struct {
	dir  string
	db   *sql.DB
	lock *dirLock // nil while a server runs
}

// openSource opens the database of dir for reading.
func openSource(ctx context.Context, dir string) (_ *backupSource, err error) {
	s := &backupSource{dir: dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := enableOFD(); err != nil {
		return nil, err
	}
	if err := refuseUnserved(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, databaseFile)
	lock, err := shareDir(dir)
	switch _, inUse := errors.AsType[*InUseError](err); {
	case inUse:
		if s.db, err = sql.Open("sqlite", readerDSN(path)); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		s.lock = lock
		if err := checkHeader(path); err != nil {
			return nil, err
		}
		if s.db, err = openAtRest(path, sourceConns, hasLog(path)); err != nil {
			return nil, err
		}
	}
	s.db.SetMaxOpenConns(sourceConns)
	s.db.SetMaxIdleConns(sourceConns)
	return s, checkIdentity(ctx, s.db)
}

// sourceConns read: one the snapshot or a page, one more for what it asks meanwhile.
const sourceConns = 2

func (s *backupSource) close() {
	if s.db != nil {
		_ = s.db.Close() // it was only read
	}
	if s.lock != nil {
		_ = s.lock.release() // as above
	}
}

// snapshot is the part of a store that changes, and where its lists end, at
// one moment. Events never change, nor do the repeats before recent.
type snapshot struct {
	meta   [][2]string
	topics []topicCheck
	names  map[int64]string
	recent []tallyRow // the newest rows of duplicates, which may still be added to

	lastSeq, lastBatch, lastDuplicate int64
	floor                             int64 // seqs up to here may be missing: a loss was accepted
	store                             string
}

// frozen is the last row of duplicates that does not change any more.
func (s *snapshot) frozen() int64 { return max(0, s.lastDuplicate-maxRecentTallies) }

// snapshot reads what changes in one transaction, which is short: the log of a
// running server cannot shrink while it lasts.
func (s *backupSource) snapshot(ctx context.Context) (*snapshot, error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // it only read
	snap := &snapshot{names: make(map[int64]string)}
	err = tx.QueryRowContext(ctx, `select seq, batch from events order by seq desc limit 1`).Scan(&snap.lastSeq, &snap.lastBatch)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err := tx.QueryRowContext(ctx, `select coalesce(max(id), 0) from duplicates`).Scan(&snap.lastDuplicate); err != nil {
		return nil, err
	}
	if snap.meta, err = readMeta(ctx, tx); err != nil {
		return nil, err
	}
	for _, m := range snap.meta {
		if m[0] == "index_secret" {
			sum := sha256.Sum256([]byte(m[1]))
			snap.store = hex.EncodeToString(sum[:8])
		}
	}
	if snap.floor, _, err = readFloor(ctx, tx); err != nil {
		return nil, err
	}
	if snap.topics, err = topicRows(ctx, tx); err != nil {
		return nil, err
	}
	for i := range snap.topics {
		snap.names[snap.topics[i].id] = snap.topics[i].name
	}
	snap.recent, err = tallyRows(ctx, tx, snap.frozen(), snap.lastDuplicate)
	return snap, err
}

// checkLoss is a *LossError when acknowledged events are missing, as no server
// has looked at a directory at rest: a backup without them would restore to a
// store that has no mark of them any more.
func (s *backupSource) checkLoss(ctx context.Context, snap *snapshot) error {
	if s.lock == nil {
		return nil
	}
	report, err := auditLog(s.dir)
	if err != nil {
		return err
	}
	keys, err := readKeys(ctx, s.db)
	if err != nil {
		return err
	}
	_, batch, err := readFloor(ctx, s.db)
	if err != nil {
		return err
	}
	found := Mark{Batch: max(snap.lastBatch, batch), Seq: max(snap.lastSeq, snap.floor), database: keys.stamp(0)}
	for i := range snap.topics {
		found.Repeats += snap.topics[i].duplicates
	}
	_, err = checkLoss(s.dir, &report, &found, Options{})
	if loss, ok := errors.AsType[*LossError](err); ok {
		return fmt.Errorf("%w; restore an older backup, or go on without them by 'sekali serve --accept-loss %s' and make a backup then", loss, loss.ID)
	}
	return err
}

// querier is what *sql.DB, *sql.Tx and *sql.Conn have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// collect scans all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(rows *sql.Rows, t *T) error, query string, args ...any) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		var t T
		if err := scan(rows, &t); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

func readMeta(ctx context.Context, q querier) ([][2]string, error) {
	return collect(ctx, q, func(rows *sql.Rows, m *[2]string) error { return rows.Scan(&m[0], &m[1]) }, `select key, value from meta order by key`)
}

func topicRows(ctx context.Context, q querier) ([]topicCheck, error) {
	return collect(ctx, q, func(rows *sql.Rows, t *topicCheck) error {
		return rows.Scan(&t.id, &t.name, &t.unique, &t.duplicates, &t.conflicts, &t.firstSeen, &t.lastSeen)
	}, `select id, name, unique_count, duplicate_count, conflict_count, first_seen, last_seen from topics order by id`)
}

// tallyRows returns the rows of duplicates behind after, up to last.
func tallyRows(ctx context.Context, q querier, after, last int64) ([]tallyRow, error) {
	return collect(ctx, q, func(rows *sql.Rows, r *tallyRow) error {
		return rows.Scan(&r.id, &r.seq, &r.count, &r.conflicts, &r.lastAt)
	}, `select id, seq, count, conflicts, last_at from duplicates where id > ? and id <= ? order by id`, after, last)
}

// eventPage is a run of events on its way into a backup.
type eventPage struct {
	rows  int
	bytes int64 // of their values
	args  []any // eventColumnCount of each, for an insert
	sum   uint64
}

// events reads the events behind after, up to last. A row that is not what was
// written ends the backup: a copy of it would look as good as the others.
func (s *backupSource) events(ctx context.Context, snap *snapshot, after, last int64) (*eventPage, error) {
	rows, err := s.db.QueryContext(ctx, `select `+verifiedColumns+` from events where seq > ? and seq <= ? order by seq`, after, last)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	p := &eventPage{args: make([]any, 0, (last-after)*eventColumnCount)}
	var scratch []byte
	next := after + 1
	for rows.Next() {
		var (
			r   eventRow
			sum int64
		)
		if err := rows.Scan(&r.seq, &r.topic, &r.id, &r.source, &r.timestamp, &r.eventTime, &r.processedAt, &r.batch, &sum, &r.payload); err != nil {
			return nil, err
		}
		r.topicName = snap.names[r.topic]
		var actual int64
		if actual, scratch = r.checksum(scratch); actual != sum {
			return nil, fmt.Errorf("event %d: %w; 'sekali verify' finds all such rows once the server is stopped", r.seq, errRowDamaged)
		}
		if err := snap.gap(next, r.seq-1); err != nil {
			return nil, err
		}
		next = r.seq + 1
		p.add(&r, sum)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return p, snap.gap(next, last)
}

// gap is an error when events are missing that no accepted loss explains.
func (s *snapshot) gap(first, last int64) error {
	if first > last || last <= s.floor {
		return nil
	}
	return fmt.Errorf("the events %d to %d are missing: %w", first, last, errRowDamaged)
}

func (p *eventPage) add(r *eventRow, sum int64) {
	p.rows++
	p.bytes += int64(len(r.id) + len(r.source) + len(r.timestamp) + len(r.payload) + 40)
	p.sum += eventSum(r.seq, sum)
	p.args = append(p.args, r.seq, r.topic, r.id, r.source, r.timestamp, r.eventTime, r.processedAt, r.batch, sum, r.payload)
}
