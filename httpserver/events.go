package httpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// handleEvents answers GET /events: one page when a limit is given, else
// everything up to the newest event at the time of the request, streamed.
//
// Next: Reader.Events, which is [actors.System.Events].
func (s *Server) handleEvents(ctx *fasthttp.RequestCtx, _ []string) error {
	q, err := parseEventsQuery(ctx.QueryArgs())
	if err != nil {
		return err
	}
	if err := mayRead(ctx, q.Topic); err != nil {
		return err
	}
	contentType, format := "application/json", jsonArray
	if wantsLines(ctx) {
		contentType, format = "application/x-ndjson", jsonLines
	}
	if q.Limit == 0 {
		return s.streamEvents(ctx, q, contentType, format)
	}
	wait, cancel := s.deadline()
	defer cancel()
	page, err := s.domain.Events(wait, q)
	if err != nil {
		return err
	}
	if page.Next > 0 {
		announceNext(ctx, strconv.FormatInt(page.Next, 10))
	}
	body := append([]byte(nil), format.open...)
	body = append(format.appendEvents(body, page.Events, true), format.close...)
	return s.writeLarge(ctx, contentType, body)
}

// listFormat is how a list of events is written.
type listFormat struct{ open, between, behind, close string }

var (
	jsonArray = listFormat{open: "[", between: ",", close: "]\n"}
	jsonLines = listFormat{behind: "\n"}
)

func (f listFormat) appendEvents(b []byte, events []sekali.StoredEvent, first bool) []byte {
	for i := range events {
		if !first {
			b = append(b, f.between...)
		}
		first = false
		b = append(append(appendEvent(append(b, '{'), &events[i]), '}'), f.behind...)
	}
	return b
}

// streamPage is how many events a stream holds in memory.
const streamPage = 500

// eventStream reads a list page by page: it is the body of an answer without a
// limit. It keeps one page in memory and no snapshot between pages. An error
// on the way breaks the connection off, so that the reader cannot take half a
// list for the whole.
type eventStream struct {
	server *Server
	conn   net.Conn
	grant  *access.Grant // of the reader, or nil
	query  sekali.EventsQuery
	format listFormat
	buf    []byte
	rest   []byte // of buf
	begun  bool   // an event has been written
	done   bool

	charged int64 // of Server.sending, until Close
}

func (s *Server) streamEvents(ctx *fasthttp.RequestCtx, q sekali.EventsQuery, contentType string, format listFormat) error {
	q.Limit = streamPage
	if err := s.sending.take(streamBytes); err != nil {
		return err
	}
	stream := &eventStream{server: s, conn: ctx.Conn(), grant: grantOf(ctx), query: q, format: format, buf: []byte(format.open), charged: streamBytes}
	// The first page is read now, while an error can still be an answer.
	if err := stream.begin(); err != nil {
		return err
	}
	ctx.SetContentType(contentType)
	if ctx.IsHead() {
		_ = stream.Close() // it returns no error
		// fasthttp would end a stream that it does not send with a blank line,
		// which the next answer on the connection would begin with.
		ctx.Response.Header.SetContentLength(-1)
		return nil
	}
	ctx.SetBodyStream(stream, -1)
	return nil
}

// begin reads the first page. If that fails the stream is closed.
func (r *eventStream) begin() error {
	begun := false
	defer func() {
		if !begun { // or the store panicked
			_ = r.Close() // it returns no error
		}
	}()
	err := r.fill()
	begun = err == nil
	return err
}

// Close implements io.Closer. fasthttp calls it when everything was sent or the
// connection broke.
func (r *eventStream) Close() error {
	r.server.sending.give(r.charged)
	r.charged = 0
	return nil
}

// Read implements io.Reader.
func (r *eventStream) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.done {
			return 0, io.EOF
		}
		r.buf = r.buf[:0]
		if err := r.fill(); err != nil {
			r.server.log.Warn("a stream of events was broken off", "error", err)
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill appends the next page, and the end behind the last one. Each page has
// the write timeout for itself: a large list takes longer than one answer may.
func (r *eventStream) fill() error {
	if r.grant != nil { // a list may take longer than its reader's key lasts
		if err := r.grant.Ended(); err != nil {
			return err
		}
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(r.server.WriteTimeout)); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	wait, cancel := context.WithTimeout(context.Background(), r.server.RequestTimeout)
	defer cancel()
	page, err := r.server.domain.Events(wait, r.query)
	if err != nil {
		return err
	}
	r.buf = r.format.appendEvents(r.buf, page.Events, !r.begun)
	r.begun = r.begun || len(page.Events) > 0
	if r.query.UpTo == 0 {
		r.query.UpTo = page.LastSeq
	}
	r.query.After = page.Next
	if r.done = page.Next == 0; r.done {
		r.buf = append(r.buf, r.format.close...)
	}
	r.rest = r.buf
	return r.charge()
}

// charge charges for a page that is larger than most.
func (r *eventStream) charge() error {
	more := int64(cap(r.buf)) - freeAnswerBytes - r.charged
	if more <= 0 {
		return nil
	}
	if err := r.server.sending.take(more); err != nil {
		return err
	}
	r.charged += more
	return nil
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

// appendEvent appends the members of an event, without braces.
func appendEvent(b []byte, e *sekali.StoredEvent) []byte {
	b = appendString(append(b, `"topic":`...), e.Topic)
	b = appendString(append(b, `,"event_id":`...), e.ID)
	b = appendString(append(b, `,"timestamp":`...), e.Timestamp)
	b = appendString(append(b, `,"source":`...), e.Source)
	b = append(append(b, `,"payload":`...), e.Payload...)
	b = strconv.AppendInt(append(b, `,"seq":`...), e.Seq, 10)
	return appendTime(append(b, `,"processed_at":`...), e.ProcessedAt)
}

// appendTime appends a time in UTC, to the microsecond, or null for the zero
// time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return append(t.UTC().AppendFormat(append(b, '"'), timeLayout), '"')
}

// handleEvent answers GET /topics/{topic}/events/{event_id}.
func (s *Server) handleEvent(ctx *fasthttp.RequestCtx, args []string) error {
	if err := mayRead(ctx, args[0]); err != nil {
		return err
	}
	wait, cancel := s.deadline()
	defer cancel()
	d, err := s.domain.Event(wait, args[0], args[1])
	if err != nil {
		return err
	}
	b := appendEvent([]byte{'{'}, &d.StoredEvent)
	b = appendTime(append(b, `,"first_seen":`...), d.ProcessedAt)
	b = strconv.AppendInt(append(b, `,"duplicate_count":`...), d.DuplicateCount, 10)
	b = strconv.AppendInt(append(b, `,"conflict_count":`...), d.ConflictCount, 10)
	b = appendTime(append(b, `,"last_duplicate":`...), d.LastDuplicate)
	return s.writeLarge(ctx, "application/json", append(b, "}\n"...))
}
