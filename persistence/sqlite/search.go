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
	var page sekali.EventsPage
	var search *search
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		search, err = s.newSearch(ctx, conn, q, &page)
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
	window    int64
	cursor    int64
	end       int64 // the greatest seq that may match
	bytes     int   // of the payloads found
	overflown bool  // the page is full and there is at least one more event
}

// newSearch notes the newest seq in the page and returns nil when nothing can
// match.
func (s *Store) newSearch(ctx context.Context, conn *sql.Conn, q sekali.EventsQuery, page *sekali.EventsPage) (*search, error) {
	if err := conn.QueryRowContext(ctx, `select coalesce(max(seq), 0) from events`).Scan(&page.LastSeq); err != nil {
		return nil, err
	}
	end := page.LastSeq
	if q.UpTo > 0 {
		end = min(end, q.UpTo)
	}
	f := &search{q: q, window: s.window, cursor: q.After, end: end}
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
		switch err := conn.QueryRowContext(ctx, `select id from topics where name = ?`, q.Topic).Scan(&id); {
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
func (f *search) nextWindow(ctx context.Context, conn *sql.Conn, page *sekali.EventsPage) error {
	low, high, order := f.cursor, min(f.cursor+f.window, f.end)+1, " order by e.seq"
	if f.q.Descending {
		low, high, order = max(f.cursor-f.window-1, 0), f.cursor, " order by e.seq desc"
	}
	room := f.q.Limit - len(page.Events)
	rows, err := conn.QueryContext(ctx, `select `+eventColumns+` from events e join topics t on t.id = e.topic_id where `+f.where+order+` limit ?`,
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
