package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"sekali/persistence/rowindex"
)

// chunkRows is how many rows a goroutine reads at a time.
const chunkRows = 16384

// leastUnreadable is how many rows at least are given up where a page cannot
// be read.
const leastUnreadable = 32

// eventChunk is a range of seqs that one goroutine reads, and what it saw.
type eventChunk struct {
	first, last int64

	rows                  int64
	firstBatch, lastBatch int64
	lastSum               int64     // checksum of row last
	sums                  [2]uint64 // of the entries that the index should have, by column
	content               uint64
	gap                   bool // something could not be read
}

// topicCheck is a topic as its row says, and as the rows of its events do.
type topicCheck struct {
	id                            int64
	name                          string
	unique, duplicates, conflicts int64
	firstSeen, lastSeen           int64

	rows, firstRow, firstAt, lastAt int64 // firstAt is the time of firstRow
	repeats, conflicted             int64
}

// readTopics reads the topics and checks their names.
func (v *verifier) readTopics(ctx context.Context) error {
	rows, err := v.db.QueryContext(ctx, `select id, name, unique_count, duplicate_count, conflict_count, first_seen, last_seen from topics order by id`)
	if err != nil {
		return v.useless("read the topics", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	var sum uint64
	names := make(map[string]bool)
	for rows.Next() {
		t := &topicCheck{}
		if err := rows.Scan(&t.id, &t.name, &t.unique, &t.duplicates, &t.conflicts, &t.firstSeen, &t.lastSeen); err != nil {
			return v.useless("read the topics", err)
		}
		if fault := nameFault(t.name); fault != "" {
			v.find(FindingTopic, "topic %d, %q: the name %s", t.id, t.name, fault)
		}
		if names[t.name] {
			v.find(FindingTopic, "topic %d: another one is called %q, too", t.id, t.name)
		}
		names[t.name], v.topics[t.id] = true, t
		sum += t.sum()
		v.report.Duplicates += t.duplicates
		v.report.Conflicts += t.conflicts
	}
	if err := rows.Err(); err != nil {
		return v.useless("read the topics", err)
	}
	v.report.Topics = int64(len(v.topics))
	v.report.Content.Topics = hexSum(sum)
	return nil
}

// lastRow returns the last seq. A row whose number is beyond what the file can
// hold is damaged, and would make the rows before it look lost.
func (v *verifier) lastRow(ctx context.Context) (last int64, err error) {
	const leastRow = 24 // bytes
	most := (v.report.DatabaseBytes+v.logBytes())/leastRow + 1
	for before := int64(1<<63 - 1); ; before = last {
		err := v.db.QueryRowContext(ctx, `select seq from events where seq < ? order by seq desc limit 1`, before).Scan(&last)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return 0, nil
		case err != nil:
			return 0, v.useless("find the last event", err)
		case last <= most:
			return last, nil
		}
		v.find(FindingDamaged, "seq %d: the file cannot hold so many rows", last)
	}
}

// readEvents reads all events in chunks, several at a time.
func (v *verifier) readEvents(ctx context.Context) error {
	last, err := v.lastRow(ctx)
	if err != nil {
		return err
	}
	v.report.LastSeq = last
	v.planChunks(last)
	var done atomic.Int64
	err = inParallel(v.Workers, len(v.chunks), func() func(i int) error {
		r := &eventReader{verifier: v, topics: make(map[int64]*topicCheck), passes: v.passes()}
		return func(i int) error {
			if i < 0 {
				r.merge()
				return nil
			}
			c := v.chunks[i]
			err := r.readChunk(ctx, c)
			v.progress("events", done.Add(c.last-c.first+1), last)
			return err
		}
	})
	if err != nil {
		return err
	}
	v.compareChunks()
	return nil
}

// inParallel calls the functions that worker makes, one of each goroutine,
// with 0 to n-1, and at the end of each once with -1. It returns the first error.
func inParallel(workers, n int, worker func() func(i int) error) error {
	var (
		next   atomic.Int64
		failed atomic.Bool
		group  sync.WaitGroup
	)
	errs := make([]error, max(1, workers))
	for w := range errs {
		group.Go(func() {
			do := worker()
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					break
				}
				if errs[w] = do(i); errs[w] != nil {
					failed.Store(true)
				}
			}
			if errs[w] == nil {
				errs[w] = do(-1)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// planChunks cuts the seqs into chunks none of which crosses the border of an
// index file, so that sums of chunks are sums of files.
func (v *verifier) planChunks(last int64) {
	borders := []int64{last}
	for _, f := range v.files {
		if f.name == eventsIndex {
			borders = append(borders, f.check.First-1, f.check.Last)
		}
	}
	for _, r := range ranges(last, chunkRows, borders) {
		v.chunks = append(v.chunks, &eventChunk{first: r[0], last: r[1]})
	}
}

// ranges cuts 1 to last into ranges of at most size rows that end at all borders.
func ranges(last, size int64, borders []int64) (all [][2]int64) {
	slices.Sort(borders)
	first := int64(1)
	for _, border := range borders {
		for border = min(border, last); first <= border; first = all[len(all)-1][1] + 1 {
			all = append(all, [2]int64{first, min(first+size-1, border)})
		}
	}
	return all
}

// eventReader reads chunks in one goroutine.
type eventReader struct {
	*verifier
	topics  map[int64]*topicCheck // what this goroutine saw
	ids     []uint64              // the keys that it saw, of the first pass of findRepeats
	passes  uint64
	scratch []byte
}

const verifiedColumns = `seq, topic_id, event_id, source, timestamp, event_time, processed_at, batch, checksum, payload`

// readChunk reads the rows of a chunk. Where pages cannot be read it goes on
// in halves, until few rows are given up.
func (r *eventReader) readChunk(ctx context.Context, c *eventChunk) error {
	next, err := r.readRange(ctx, c, c.first, c.last)
	for isDamage(err) && next <= c.last {
		c.gap = true
		r.giveUp(next, err)
		next = min(next+leastUnreadable, c.last+1)
		if next <= c.last {
			next, err = r.readRange(ctx, c, next, c.last)
		}
	}
	if isDamage(err) { // behind the last row
		err = nil
	}
	return err
}

func (r *eventReader) giveUp(first int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.add(FindingUnreadable, leastUnreadable, fmt.Sprintf("seq %d and up to %d rows behind it: %s", first, leastUnreadable-1, err))
}

// readRange reads the rows from first to last and returns the seq behind the
// last one that it read.
func (r *eventReader) readRange(ctx context.Context, c *eventChunk, first, last int64) (next int64, err error) {
	rows, err := r.db.QueryContext(ctx, `select `+verifiedColumns+` from events where seq between ? and ? order by seq`, first, last)
	if err != nil {
		return first, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	before := eventRow{}
	for next = first; rows.Next(); {
		var (
			row     eventRow
			sum     int64
			payload sql.RawBytes
		)
		err := rows.Scan(&row.seq, &row.topic, &row.id, &row.source, &row.timestamp, &row.eventTime, &row.processedAt, &row.batch, &sum, &payload)
		if err != nil {
			r.find(FindingDamaged, "a row behind seq %d: %s", next-1, err) // a value of another type
			c.gap = true
			continue
		}
		row.payload = payload
		if row.seq < next { // pages out of order: SQLite's own check says so, too
			r.find(FindingOrder, "seq %d comes behind seq %d", row.seq, next-1)
			continue
		}
		r.missing(next, row.seq-1)
		next = row.seq + 1
		r.row(c, &row, sum)
		r.inOrder(&before, &row)
		before.batch, before.processedAt = row.batch, row.processedAt
	}
	if err := rows.Err(); err != nil {
		return next, err
	}
	r.missing(next, last)
	return last + 1, nil
}

func (r *eventReader) missing(first, last int64) {
	if first > last {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last <= r.floorSeq {
		r.report.AcceptedMissing += last - first + 1
		return
	}
	example := fmt.Sprintf("seq %d", first)
	if last > first {
		example = fmt.Sprintf("seq %d to %d", first, last)
	}
	r.report.add(FindingMissing, last-first+1, example)
}

// row checks one row by itself and adds it to what the chunk and the topic sum up.
func (r *eventReader) row(c *eventChunk, row *eventRow, sum int64) {
	if c.rows == 0 {
		c.firstBatch = row.batch
	}
	c.rows++
	c.lastBatch = row.batch
	if row.seq == c.last {
		c.lastSum = sum
	}
	key := r.keys.of(row.topic, row.id)
	if key%r.passes == 0 {
		r.ids = append(r.ids, key)
	}
	c.sums[idColumn] += rowindex.EntrySum(key, row.seq)
	c.sums[topicColumn] += rowindex.EntrySum(uint64(row.topic), row.seq)
	c.content += eventSum(row.seq, sum)

	topic := r.verifier.topics[row.topic] // the map does not change any more
	if topic == nil {
		r.find(FindingTopic, "seq %d: there is no topic %d", row.seq, row.topic)
		return
	}
	r.topicOf(row).saw(row)
	row.topicName = topic.name
	var actual int64
	if actual, r.scratch = row.checksum(r.scratch); actual != sum {
		r.find(FindingDamaged, "seq %d, topic %q, id %q: %s", row.seq, topic.name, row.id, errRowDamaged)
		return // what is wrong with its values is no news
	}
	if fault := rowFault(row); fault != "" {
		r.find(FindingInvalid, "seq %d, topic %q, id %q: %s", row.seq, topic.name, row.id, fault)
	}
}

// inOrder compares a row with the one before it in the same range: events of a
// transaction lie together and have its time.
func (r *eventReader) inOrder(before, row *eventRow) {
	switch {
	case before.batch > row.batch:
		r.find(FindingOrder, "seq %d is of transaction %d, the row before it of %d", row.seq, row.batch, before.batch)
	case before.batch == row.batch && before.processedAt != row.processedAt:
		r.find(FindingOrder, "seq %d has another time than the row before it, of the same transaction %d", row.seq, row.batch)
	}
}

func (r *eventReader) topicOf(row *eventRow) *topicCheck {
	t := r.topics[row.topic]
	if t == nil {
		t = &topicCheck{id: row.topic, firstRow: row.seq, firstAt: row.processedAt}
		r.topics[row.topic] = t
	}
	return t
}

// saw counts a row of the topic.
func (t *topicCheck) saw(row *eventRow) {
	t.rows++
	t.lastAt = max(t.lastAt, row.processedAt)
	if row.seq < t.firstRow {
		t.firstRow, t.firstAt = row.seq, row.processedAt
	}
}

// merge adds what this goroutine saw of the topics to what all did.
func (r *eventReader) merge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idKeys = append(r.idKeys, r.ids...)
	for id, seen := range r.topics {
		t := r.verifier.topics[id]
		if t.rows == 0 || seen.firstRow < t.firstRow {
			t.firstRow, t.firstAt = seen.firstRow, seen.firstAt
		}
		t.rows += seen.rows
		t.lastAt = max(t.lastAt, seen.lastAt)
	}
}

// compareChunks looks at what lies between the chunks, and adds them up.
func (v *verifier) compareChunks() {
	var content uint64
	before := int64(0)
	for _, c := range v.chunks {
		v.report.Events += c.rows
		content += c.content
		if c.rows == 0 {
			continue
		}
		if c.firstBatch < before {
			v.find(FindingOrder, "seq %d is of transaction %d, a row before it of %d", c.first, c.firstBatch, before)
		}
		before = c.lastBatch
	}
	v.report.LastBatch = before
	v.report.Content.Events = hexSum(content)
}
