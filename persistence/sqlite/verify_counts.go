package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"sekali/persistence/rowindex"
)

// tallyChunk is a range of rows of the duplicates table, and what was seen.
type tallyChunk struct {
	first, last int64

	sum     uint64 // of the entries that the index should have
	lastSeq int64  // the event of row last
	content uint64
}

// readDuplicates reads the counted repeats, several chunks at a time. Each
// chunk asks for the topics of its events in the order of their seqs.
func (v *verifier) readDuplicates(ctx context.Context) error {
	if err := v.db.QueryRowContext(ctx, `select coalesce(max(id), 0) from duplicates`).Scan(&v.lastID); err != nil {
		return v.useless("find the last counted repeat", err)
	}
	const leastRow = 10 // bytes
	if most := (v.report.DatabaseBytes+v.logBytes())/leastRow + 1; v.lastID > most {
		v.find(FindingDuplicates, "row %d: the file cannot hold so many rows", v.lastID)
		v.lastID = most
	}
	borders := []int64{v.lastID}
	for _, f := range v.files {
		if f.name == duplicatesIndex {
			borders = append(borders, f.check.First-1, f.check.Last)
		}
	}
	for _, r := range ranges(v.lastID, chunkRows, borders) {
		v.tally = append(v.tally, &tallyChunk{first: r[0], last: r[1]})
	}
	var done atomic.Int64
	err := inParallel(v.Workers, len(v.tally), func() func(i int) error {
		topics := make(map[int64]*topicCheck)
		return func(i int) error {
			if i < 0 {
				v.mergeTallies(topics)
				return nil
			}
			c := v.tally[i]
			err := v.readTallies(ctx, c, topics)
			if isDamage(err) {
				v.find(FindingDuplicates, "rows %d to %d cannot be read: %s", c.first, c.last, err)
				err = nil
			}
			v.progress("repeats", done.Add(c.last-c.first+1), v.lastID)
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("read the counted repeats: %w", err)
	}
	var content uint64
	for _, c := range v.tally {
		content += c.content
	}
	v.report.Content.Duplicates = hexSum(content)
	return nil
}

// tallyRow is a row of the duplicates table.
type tallyRow struct{ id, seq, count, conflicts, lastAt int64 }

func (r *tallyRow) sum() uint64 {
	return sumOf(r.id, r.seq, r.count, r.conflicts, r.lastAt)
}

// sumOf condenses a row of numbers.
func sumOf(numbers ...int64) uint64 {
	b := make([]byte, 0, 64)
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return xxhash.Sum64(b)
}

func (t *topicCheck) sum() uint64 {
	return rowindex.EntrySum(xxhash.Sum64String(t.name), int64(sumOf(t.id, t.unique, t.duplicates, t.conflicts, t.firstSeen, t.lastSeen)))
}

// eventSum condenses an event, given its checksum.
func eventSum(seq, checksum int64) uint64 { return rowindex.EntrySum(uint64(checksum), seq) }

// addSum adds to a sum of a Content.
func addSum(hexadecimal string, sum uint64) string {
	before, _ := strconv.ParseUint(hexadecimal, 16, 64) // "" is 0; another one fails the comparison
	return hexSum(before + sum)
}

func hexSum(sum uint64) string { return fmt.Sprintf("%016x", sum) }

// Content sums up the rows of a database, whatever files and pages they lie
// in: equal rows have equal sums, and others only with a chance of 2^-64. Each
// is 16 hexadecimal digits, "" when the rows could not be read.
type Content struct {
	Events     string `json:"events"`
	Topics     string `json:"topics"`
	Duplicates string `json:"duplicates"`
}

func (v *verifier) readTallies(ctx context.Context, c *tallyChunk, topics map[int64]*topicCheck) error {
	rows, err := v.db.QueryContext(ctx, `select d.id, d.seq, d.count, d.conflicts, d.last_at, coalesce(e.topic_id, 0)
		from (select * from duplicates where id between ? and ? order by seq limit -1) d left join events e on e.seq = d.seq`, c.first, c.last)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	found := int64(0)
	for rows.Next() {
		var (
			r     tallyRow
			topic int64
		)
		if err := rows.Scan(&r.id, &r.seq, &r.count, &r.conflicts, &r.lastAt, &topic); err != nil {
			return err
		}
		found++
		c.sum += rowindex.EntrySum(uint64(r.seq), r.id)
		c.content += r.sum()
		if r.id == c.last {
			c.lastSeq = r.seq
		}
		v.tallied(&r, topic, topics)
	}
	if n := c.last - c.first + 1; found != n && rows.Err() == nil {
		v.find(FindingDuplicates, "of the rows %d to %d there are only %d", c.first, c.last, found)
	}
	return rows.Err()
}

// tallied checks a row by itself and counts it for its topic.
func (v *verifier) tallied(r *tallyRow, topic int64, topics map[int64]*topicCheck) {
	switch {
	case topic == 0:
		v.find(FindingDuplicates, "row %d: it counts repeats of seq %d, which does not exist", r.id, r.seq)
		return
	case r.count < 1 || r.conflicts < 0 || r.conflicts > r.count:
		v.find(FindingDuplicates, "row %d: %d repeats of which %d conflict", r.id, r.count, r.conflicts)
	}
	t := topics[topic]
	if t == nil {
		t = &topicCheck{}
		topics[topic] = t
	}
	t.repeats += r.count
	t.conflicted += r.conflicts
	t.lastAt = max(t.lastAt, r.lastAt)
}

func (v *verifier) mergeTallies(topics map[int64]*topicCheck) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, seen := range topics {
		if t := v.topics[id]; t != nil { // otherwise the events said so
			t.repeats += seen.repeats
			t.conflicted += seen.conflicted
			t.lastAt = max(t.lastAt, seen.lastAt)
		}
	}
}

// compareCounts holds the counts of each topic against its rows.
func (v *verifier) compareCounts(context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(v.topics)) {
		t := v.topics[id]
		for _, c := range []struct {
			what          string
			counted, rows int64
		}{
			{"unique events", t.unique, t.rows},
			{"repeats", t.duplicates, t.repeats},
			{"conflicts", t.conflicts, t.conflicted},
		} {
			if c.counted != c.rows {
				v.find(FindingCounts, "topic %q counts %d %s, its rows say %d", t.name, c.counted, c.what, c.rows)
			}
		}
		switch {
		case t.rows == 0:
			v.find(FindingTopic, "topic %q has no events", t.name)
		case t.firstSeen != t.firstAt || t.lastSeen != t.lastAt:
			v.find(FindingTopic, "topic %q: the times of its first and last event are not those of its rows", t.name)
		}
	}
	return nil
}
