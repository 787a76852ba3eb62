package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sekali"
)

const (
	// judgeConns read at a time. A repeat of an old event is a random read of
	// the disk, and disks do several at once: here 16,000 a second one by one,
	// 30,000 by four.
	judgeConns = 4
	// judgeShape is how many events one statement reads.
	judgeShape = 16
)

// judge reads stored events, for the comparison with new ones whose key is
// the same. What it is asked for has been committed before.
type judge struct {
	db         *sql.DB
	read, name *sql.Stmt
}

// knownEvent is what is compared of a stored event.
type knownEvent struct {
	seq, topic  int64
	id          string
	fingerprint uint64
}

func openJudge(ctx context.Context, path, vfs string) (_ *judge, err error) {
	j := &judge{}
	if j.db, err = sql.Open("sqlite", withVFS(judgeDSN(path), vfs)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.db.Close())
		}
	}()
	// One more than read at a time, for the names of topics: a reader asks for
	// one while it has its rows open, so they must not be able to take all.
	if err := openReaders(ctx, j.db, judgeConns+1); err != nil {
		return nil, err
	}
	text := `select seq, topic_id, event_id, source, timestamp, event_time, processed_at, batch, checksum, payload from events
		where seq in (` + strings.TrimSuffix(strings.Repeat("?, ", judgeShape), ", ") + `)`
	if j.read, err = j.db.PrepareContext(ctx, text); err != nil {
		return nil, err
	}
	j.name, err = j.db.PrepareContext(ctx, `select name from topics where id = ?`)
	return j, err
}

// known reads the events with the given seqs. names has the topics of the
// batch, which are nearly always those of the rows.
func (j *judge) known(seqs []int64, names map[int64]string) (map[int64]knownEvent, error) {
	chunks := slices.Collect(slices.Chunk(seqs, judgeShape))
	found, errs := make([][]knownEvent, len(chunks)), make([]error, len(chunks))
	if len(chunks) == 1 {
		found[0], errs[0] = j.readChunk(chunks[0], names)
	} else {
		var workers sync.WaitGroup
		for w := range min(judgeConns, len(chunks)) {
			workers.Go(func() {
				defer contain(&errs[w]) // w is below the number of chunks
				for i := w; i < len(chunks); i += judgeConns {
					found[i], errs[i] = j.readChunk(chunks[i], names)
				}
			})
		}
		workers.Wait()
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	known := make(map[int64]knownEvent, len(seqs))
	for _, events := range found {
		for _, e := range events {
			known[e.seq] = e
		}
	}
	for _, seq := range seqs {
		if _, ok := known[seq]; !ok { // events are never removed
			return nil, fmt.Errorf("event %d is missing: %w", seq, errRowDamaged)
		}
	}
	return known, nil
}

// readChunk reads up to judgeShape events. A row that is not what was written
// ends the store: taking it for another event would store its id again.
func (j *judge) readChunk(seqs []int64, names map[int64]string) (known []knownEvent, err error) {
	args := make([]any, judgeShape)
	for i := range args {
		args[i] = seqs[min(i, len(seqs)-1)]
	}
	// As all work for a write, it does not end with a request.
	rows, err := j.read.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var scratch []byte
	for rows.Next() {
		var (
			r       eventRow
			sum     int64
			payload sql.RawBytes
		)
		if err := rows.Scan(&r.seq, &r.topic, &r.id, &r.source, &r.timestamp, &r.eventTime, &r.processedAt, &r.batch, &sum, &payload); err != nil {
			return nil, err
		}
		r.payload = payload
		if r.topicName, err = j.topicName(r.topic, names); err != nil {
			return nil, err
		}
		var actual int64
		if actual, scratch = r.checksum(scratch); actual != sum {
			return nil, fmt.Errorf("event %d: %w", r.seq, errRowDamaged)
		}
		known = append(known, knownEvent{r.seq, r.topic, r.id, sekali.ContentFingerprint(r.source, r.timestamp, r.payload)})
	}
	return known, rows.Err()
}

func (j *judge) topicName(topic int64, names map[int64]string) (name string, err error) {
	if name, ok := names[topic]; ok {
		return name, nil
	}
	err = j.name.QueryRowContext(context.Background(), topic).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("topic %d is missing: %w", topic, errRowDamaged)
	}
	return name, err
}

func (j *judge) close() error { return j.db.Close() }
