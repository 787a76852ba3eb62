package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"sekali"
)

const (
	// queryTimeout bounds one query and with it the life of a read snapshot:
	// an older one would keep the WAL from shrinking.
	queryTimeout = 2 * time.Second
	// pageBudget bounds the search for one page; what was found by then is
	// returned with a cursor to go on.
	pageBudget = time.Second
	// searchWindow is how many seqs one query may look through; tests set
	// Store.window to less.
	searchWindow = 50_000
	// pageBytes bounds the payloads of one page, lest a page of the largest
	// events fills the memory. A page has one event at least.
	pageBytes = 4 << 20
)

const eventColumns = `e.seq, t.name, e.event_id, e.source, e.timestamp, e.event_time, e.processed_at, e.payload`

// Totals implements sekali.Store.
func (s *Store) Totals(ctx context.Context) (sekali.Totals, error) {
	var t sekali.Totals
	err := s.readers.QueryRowContext(ctx, `select count(*), coalesce(sum(unique_count), 0),
		coalesce(sum(duplicate_count), 0), coalesce(sum(conflict_count), 0) from topics`).
		Scan(&t.Topics, &t.Unique, &t.Duplicates, &t.Conflicts)
	return t, readError(err)
}

const topicColumns = `name, unique_count, duplicate_count, conflict_count, first_seen, last_seen`

// Topics implements sekali.Store.
func (s *Store) Topics(ctx context.Context, q sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.readers.QueryContext(ctx, `select `+topicColumns+` from topics where name > ? order by name limit ?`, q.After, q.Limit)
	if err != nil {
		return nil, readError(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	var page []sekali.TopicStats
	for rows.Next() {
		t, err := scanTopic(rows)
		if err != nil {
			return nil, readError(err)
		}
		page = append(page, t)
	}
	return page, readError(rows.Err())
}

// Topic implements sekali.Store.
func (s *Store) Topic(ctx context.Context, name string) (sekali.TopicStats, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	t, err := scanTopic(s.readers.QueryRowContext(ctx, `select `+topicColumns+` from topics where name = ?`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return t, &sekali.Error{Code: sekali.CodeNotFound, Message: "there is no such topic"}
	}
	return t, readError(err)
}

// row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(dest ...any) error }

func scanTopic(r row) (sekali.TopicStats, error) {
	var (
		t           sekali.TopicStats
		first, last int64
	)
	err := r.Scan(&t.Topic, &t.Unique, &t.Duplicates, &t.Conflicts, &first, &last)
	t.FirstSeen, t.LastSeen = fromNanos(first), fromNanos(last)
	return t, err
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

func scanEvent(r row, more ...any) (sekali.StoredEvent, error) {
	var (
		e                      sekali.StoredEvent
		eventTime, processedAt int64
	)
	dest := append([]any{&e.Seq, &e.Topic, &e.ID, &e.Source, &e.Timestamp, &eventTime, &processedAt, &e.Payload}, more...)
	err := r.Scan(dest...)
	e.Time, e.ProcessedAt = fromNanos(eventTime), fromNanos(processedAt)
	return e, err
}

// Event implements sekali.Store.
func (s *Store) Event(ctx context.Context, topic, id string) (sekali.EventDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var (
		d      sekali.EventDetail
		lastAt int64
		err    error
	)
	r := s.readers.QueryRowContext(ctx, `select `+eventColumns+`, coalesce(d.count, 0), coalesce(d.conflicts, 0), coalesce(d.last_at, 0)
		from topics t join events e on e.topic_id = t.id left join duplicates d on d.seq = e.seq
		where t.name = ? and e.event_id = ?`, topic, id)
	d.StoredEvent, err = scanEvent(r, &d.DuplicateCount, &d.ConflictCount, &lastAt)
	if errors.Is(err, sql.ErrNoRows) {
		return d, sekali.ErrNotFound
	}
	if lastAt != 0 {
		d.LastDuplicate = fromNanos(lastAt)
	}
	return d, readError(err)
}

// Events implements sekali.Store. It looks through the seqs in windows, each a
// query of its own, until the page is full, the events end or pageBudget is
// used up.
func (s *Store) Events(ctx context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
	var page sekali.EventsPage
	if err := s.readers.QueryRowContext(ctx, `select coalesce(max(seq), 0) from events`).Scan(&page.LastSeq); err != nil {
		return page, readError(err)
	}
	end := page.LastSeq
	if q.UpTo > 0 {
		end = min(end, q.UpTo)
	}
	search, err := s.newSearch(ctx, q, end)
	if err != nil || search == nil {
		return page, readError(err)
	}
	for start := time.Now(); !search.finished() && time.Since(start) < pageBudget; {
		if err := search.nextWindow(ctx, &page); err != nil {
			return sekali.EventsPage{}, readError(err)
		}
	}
	page.Next = search.next(&page)
	return page, nil
}

// search walks over the seqs of one query; cursor is exclusive.
type search struct {
	db        *sql.DB
	q         sekali.EventsQuery
	where     string
	args      []any
	window    int64
	cursor    int64
	end       int64 // the greatest seq that may match
	bytes     int   // of the payloads found
	overflown bool  // the page is full and there is at least one more event
}

// newSearch returns nil when nothing can match.
func (s *Store) newSearch(ctx context.Context, q sekali.EventsQuery, end int64) (*search, error) {
	f := &search{db: s.readers, q: q, window: s.window, cursor: q.After, end: end}
	if q.Descending && (q.After == 0 || q.After > end) {
		f.cursor = end + 1
	}
	var where []string
	filter := func(condition string, arg any) {
		where = append(where, condition)
		f.args = append(f.args, arg)
	}
	if q.Topic != "" {
		var id int64
		switch err := s.readers.QueryRowContext(ctx, `select id from topics where name = ?`, q.Topic).Scan(&id); {
		case errors.Is(err, sql.ErrNoRows):
			return nil, nil
		case err != nil:
			return nil, err
		}
		filter(`e.topic_id = ?`, id)
	}
	if q.EventID != "" {
		filter(`e.event_id = ?`, q.EventID)
	}
	if q.Source != "" {
		filter(`e.source = ?`, q.Source)
	}
	if !q.Since.IsZero() {
		filter(`e.event_time >= ?`, q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		filter(`e.event_time <= ?`, q.Until.UnixNano())
	}
	f.where = strings.Join(append(where, `e.seq > ? and e.seq < ?`), " and ")
	return f, nil
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
func (f *search) nextWindow(ctx context.Context, page *sekali.EventsPage) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	low, high, order := f.cursor, min(f.cursor+f.window, f.end)+1, " order by e.seq"
	if f.q.Descending {
		low, high, order = max(f.cursor-f.window-1, 0), f.cursor, " order by e.seq desc"
	}
	room := f.q.Limit - len(page.Events)
	rows, err := f.db.QueryContext(ctx, `select `+eventColumns+` from events e join topics t on t.id = e.topic_id where `+f.where+order+` limit ?`,
		append(append([]any(nil), f.args...), low, high, room+1)...)
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
	if f.q.Descending {
		f.cursor = low + 1
	} else {
		f.cursor = high - 1
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
