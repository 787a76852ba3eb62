package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"sekali"
)

const (
	// pageBudget bounds the search for one page; what was found by then is
	// returned with a cursor to go on.
	pageBudget = time.Second
	// searchWindow is how many seqs one query may look through; tests set
	// Store.window to less.
	searchWindow = 50_000
	// pageBytes bounds the payloads of one page, lest pages of the largest
	// events that readers do not fetch fill the memory. A page has one event at
	// least.
	pageBytes = 1 << 20
)

// Events implements sekali.Store. It looks through the seqs in windows, each a
// query of its own, until the page is full, the events end or pageBudget is
// used up.
func (s *Store) Events(ctx context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
	page := sekali.EventsPage{LastSeq: s.visible.Load()}
	var search *search
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		search, err = s.newSearch(ctx, conn, q, page.LastSeq)
		return err
	})
	if err != nil || search == nil {
		return page, err
	}
	for start := time.Now(); !search.finished() && time.Since(start) < pageBudget; {
		err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error { return search.nextWindow(ctx, conn, &page) })
		if err != nil {
			return sekali.EventsPage{}, err
		}
	}
	page.Next = search.next(&page)
	return page, nil
}

// search walks over the seqs of one query; cursor is exclusive.
type search struct {
	q         sekali.EventsQuery
	where     string
	args      []any
	windows   windows
	cursor    int64
	end       int64 // the greatest seq that may match
	bytes     int   // of the payloads found
	overflown bool  // the page is full and there is at least one more event
}

// windows says where the next matches may be: in seqs, or when that is nil, in
// all from low to high. Nothing between the cursor and the window matches.
type windows func(f *search) (w window, err error)

type window struct {
	low, high int64 // both inclusive
	seqs      []int64
}

// newSearch returns nil when nothing can match. Only events up to lastSeq are
// looked at.
func (s *Store) newSearch(ctx context.Context, conn *sql.Conn, q sekali.EventsQuery, lastSeq int64) (*search, error) {
	f := &search{q: q, cursor: q.After, end: lastSeq, windows: allSeqs(s.window)}
	if q.UpTo > 0 {
		f.end = min(f.end, q.UpTo)
	}
	if q.Descending && (q.After == 0 || q.After > f.end) {
		f.cursor = f.end + 1
	}
	f.filter(q)
	if q.Topic == "" && q.EventID == "" {
		return f, nil
	}
	var topics []int64
	var err error
	if q.Topic == "" {
		topics, err = allTopics(ctx, conn)
	} else {
		var topic int64
		if topic, err = topicNumber(ctx, conn, q.Topic); errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		topics = []int64{topic}
		f.where += ` and e.topic_id = ?`
		f.args = append(f.args, topic)
	}
	if err != nil {
		return nil, err
	}
	if q.EventID != "" {
		f.windows, err = s.seqsOfID(ctx, topics, q.EventID)
		return f, err
	}
	f.windows = s.seqsOfTopic(topics[0])
	return f, nil
}

// filter takes the conditions of a query that need no index.
func (f *search) filter(q sekali.EventsQuery) {
	f.where = `e.seq between ? and ?`
	add := func(condition string, arg any) {
		f.where += " and " + condition
		f.args = append(f.args, arg)
	}
	if q.EventID != "" {
		add(`e.event_id = ?`, q.EventID)
	}
	if q.Source != "" {
		add(`e.source = ?`, q.Source)
	}
	if !q.Since.IsZero() {
		add(`e.event_time >= ?`, q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		add(`e.event_time <= ?`, q.Until.UnixNano())
	}
}

// topicNumber returns the number of a topic, or sql.ErrNoRows.
func topicNumber(ctx context.Context, conn *sql.Conn, name string) (number int64, err error) {
	err = conn.QueryRowContext(ctx, `select id from topics where name = ?`, name).Scan(&number)
	return number, err
}

func allTopics(ctx context.Context, conn *sql.Conn) (numbers []int64, err error) {
	rows, err := conn.QueryContext(ctx, `select id from topics`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, rows.Err()
}

// allSeqs cuts all seqs into windows of the given size.
func allSeqs(size int64) windows {
	return func(f *search) (window, error) {
		if f.q.Descending {
			return window{low: max(f.cursor-size, 1), high: f.cursor - 1}, nil
		}
		return window{low: f.cursor + 1, high: min(f.cursor+size, f.end)}, nil
	}
}

// seqsOfTopic takes the seqs of one topic from the index, so many at a time
// that one window is enough unless other conditions leave most of them out.
func (s *Store) seqsOfTopic(topic int64) windows {
	return func(f *search) (w window, err error) {
		n := int(min(s.window, int64(f.q.Limit)+1))
		if len(f.args) > 1 { // more conditions than the topic
			n = int(min(s.window, max(1000, int64(n))))
		}
		seqs, err := s.indexes.events.Scan(nil, topicColumn, uint64(topic), f.cursor, f.q.Descending, n)
		return windowOf(seqs, len(seqs) < n, f.q.Descending), err
	}
}

// seqsOfID takes the seqs that may have an id in one of the topics from the
// index: a few, in one window.
func (s *Store) seqsOfID(ctx context.Context, topics []int64, id string) (windows, error) {
	keys := make([]uint64, len(topics))
	for i, topic := range topics {
		keys[i] = s.keys.of(topic, id)
	}
	var seqs []int64
	for some := range slices.Chunk(keys, 1024) { // commits wait while the index is being asked
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.indexes.events.FindAll(idColumn, some, func(_ int, seq int64) { seqs = append(seqs, seq) }); err != nil {
			return nil, err
		}
	}
	slices.Sort(seqs)
	return func(f *search) (window, error) { return windowOf(seqs, true, f.q.Descending), nil }, nil
}

// windowOf returns the window of seqs in the order of the query; after the
// last ones it reaches to the end.
func windowOf(seqs []int64, last, descending bool) window {
	w := window{low: 1, high: math.MaxInt64, seqs: seqs}
	if w.seqs == nil {
		w.seqs = []int64{}
	}
	switch {
	case last:
	case descending:
		w.low = seqs[len(seqs)-1]
	default:
		w.high = seqs[len(seqs)-1]
	}
	return w
}

func (f *search) finished() bool {
	if f.overflown {
		return true
	}
	if f.q.Descending {
		return f.cursor <= 1
	}
	return f.cursor >= f.end
}

// nextWindow adds the matches of the next window to the page.
func (f *search) nextWindow(ctx context.Context, conn *sql.Conn, page *sekali.EventsPage) error {
	w, err := f.windows(f)
	if err != nil {
		return err
	}
	from, args := ` from events e join topics t on t.id = e.topic_id`, []any{}
	if w.seqs != nil {
		from = ` from json_each(?) j cross join events e on e.seq = j.value join topics t on t.id = e.topic_id`
		args = append(args, jsonNumbers(w.seqs))
	}
	if f.q.Descending {
		w.high = min(w.high, f.cursor-1)
	} else {
		w.low, w.high = max(w.low, f.cursor+1), min(w.high, f.end)
	}
	order := ` order by e.seq`
	if f.q.Descending {
		order += ` desc`
	}
	args = append(append(args, w.low, w.high), f.args...)
	room := f.q.Limit - len(page.Events)
	rows, err := conn.QueryContext(ctx, `select `+eventColumns+from+` where `+f.where+order+` limit ?`, append(args, room+1)...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		if len(page.Events) == f.q.Limit || f.bytes >= pageBytes {
			f.overflown = true
			return nil
		}
		e, err := scanEvent(rows)
		if err != nil {
			return err
		}
		page.Events = append(page.Events, e)
		f.bytes += len(e.Payload)
	}
	f.cursor = w.high
	if f.q.Descending {
		f.cursor = w.low
	}
	return rows.Err()
}

// next returns the cursor behind the page, or 0 at the end.
func (f *search) next(page *sekali.EventsPage) int64 {
	switch {
	case f.overflown:
		return page.Events[len(page.Events)-1].Seq
	case f.finished():
		return 0
	default:
		return f.cursor
	}
}
