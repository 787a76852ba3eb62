package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

// Query selects events. Zero values do not filter.
type Query struct {
	Topic, EventID, Source string
	Since, Until           time.Time // event time, both inclusive
	// After starts behind this seq, in the direction of the order.
	After      int64
	Descending bool // the newest first
	// PageSize is how many events one request asks for, 1 to 1,000; 0 is 1,000.
	PageSize int
}

func (q Query) values() url.Values {
	v := url.Values{}
	setText(v, "topic", q.Topic)
	setText(v, "event_id", q.EventID)
	setText(v, "source", q.Source)
	setTime(v, "since", q.Since)
	setTime(v, "until", q.Until)
	if q.After != 0 {
		v.Set("after", strconv.FormatInt(q.After, 10))
	}
	if q.Descending {
		v.Set("order", "desc")
	}
	setPageSize(v, q.PageSize)
	return v
}

func setText(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func setTime(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.Format(time.RFC3339Nano))
	}
}

func setPageSize(v url.Values, n int) {
	if n == 0 {
		n = 1000
	}
	v.Set("limit", strconv.Itoa(n))
}

// Events reads the events that match, in order of seq, page by page; a page is
// asked for when the one before it is used up. An error ends the sequence, with
// a zero event.
func (c *Client) Events(ctx context.Context, q Query) iter.Seq2[sekali.StoredEvent, error] {
	return paged(ctx, c, "/events", q.values(), decodeEvents)
}

// TopicsQuery selects topics in ascending order of their names.
type TopicsQuery struct {
	After    string // topics with a greater name; "" starts at the first
	PageSize int    // 1 to 1,000; 0 is 1,000
}

// Topics reads the topics with their counts, page by page, as Events does.
func (c *Client) Topics(ctx context.Context, q TopicsQuery) iter.Seq2[sekali.TopicStats, error] {
	v := url.Values{}
	setText(v, "after", q.After)
	setPageSize(v, q.PageSize)
	return paged(ctx, c, "/topics", v, decodeTopics)
}

// Event reads one event by its identity. An event that is not there is an
// *APIError with status 404.
func (c *Client) Event(ctx context.Context, topic, id string) (detail sekali.EventDetail, err error) {
	path := "/topics/" + url.PathEscape(topic) + "/events/" + url.PathEscape(id)
	_, err = c.get(ctx, path, nil, func(d *jsontext.Decoder) (err error) {
		detail, err = readEventDetail(d)
		return err
	})
	return detail, err
}

// Stats reads the server's counts.
func (c *Client) Stats(ctx context.Context) (stats Stats, err error) {
	_, err = c.get(ctx, "/stats", nil, func(d *jsontext.Decoder) (err error) {
		stats, err = readStats(d)
		return err
	})
	return stats, err
}

// Health asks once whether the server is alive.
func (c *Client) Health(ctx context.Context) (health Health, err error) {
	_, err = c.getOnce(ctx, "/health", nil, func(d *jsontext.Decoder) (err error) {
		health, err = readHealth(d)
		return err
	})
	return health, err
}

// Ready asks once whether the server takes events. It returns nil when it does
// and an *APIError when it is starting, draining or has failed.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.getOnce(ctx, "/readyz", nil, (*jsontext.Decoder).SkipValue)
	return err
}

// paged yields the items of a listing, following its Link headers.
func paged[T any](ctx context.Context, c *Client, path string, query url.Values, decode func(*jsontext.Decoder) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for query != nil {
			var page []T
			header, err := c.get(ctx, path, query, func(d *jsontext.Decoder) (err error) {
				page, err = decode(d)
				return err
			})
			if err == nil {
				query, err = nextQuery(header, query)
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// nextQuery returns the query of the page that the Link header announces, or
// nil. Only the link's query is used: behind a proxy its host and path may not
// be reachable from here, and a key must not be sent where they lead.
func nextQuery(header http.Header, current url.Values) (url.Values, error) {
	for link := range strings.SplitSeq(strings.Join(header.Values("Link"), ","), ",") {
		target, params, _ := strings.Cut(strings.TrimSpace(link), ">")
		if !strings.HasPrefix(target, "<") || !strings.Contains(params, `rel="next"`) {
			continue
		}
		u, err := url.Parse(target[1:])
		if err != nil {
			return nil, fmt.Errorf("client: the link to the next page: %w", err)
		}
		next := u.Query()
		if next.Encode() == current.Encode() {
			return nil, errors.New("client: the link to the next page leads to the same page")
		}
		return next, nil
	}
	return nil, nil
}

// get is getOnce with retries.
func (c *Client) get(ctx context.Context, path string, query url.Values, decode func(*jsontext.Decoder) error) (header http.Header, err error) {
	err = c.Retry(ctx, func(ctx context.Context) (err error) {
		header, err = c.getOnce(ctx, path, query, decode)
		return err
	})
	return header, err
}

func (c *Client) getOnce(ctx context.Context, path string, query url.Values, decode func(*jsontext.Decoder) error) (http.Header, error) {
	r, err := c.exchange(ctx, http.MethodGet, c.url(path, query), nil, nil)
	if err != nil {
		return nil, err
	}
	defer r.release()
	if r.status != http.StatusOK {
		return nil, newAPIError(r)
	}
	if err := decodeDocument(r.body, decode); err != nil {
		return nil, &NoAnswerError{Err: fmt.Errorf("decode the answer to GET %s: %w", path, err)}
	}
	return r.header, nil
}

func decodeEvents(d *jsontext.Decoder) (page []sekali.StoredEvent, err error) {
	err = decodeArray(d, func() error {
		detail, err := readEventDetail(d)
		page = append(page, detail.StoredEvent)
		return err
	})
	return page, err
}

// readEventDetail also reads the events of listings, which have fewer members.
func readEventDetail(d *jsontext.Decoder) (e sekali.EventDetail, err error) {
	err = decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "topic":
			e.Topic, err = readString(d)
		case "event_id":
			e.ID, err = readString(d)
		case "timestamp":
			e.Timestamp, err = readString(d)
			e.Time = parseEventTime(e.Timestamp)
		case "source":
			e.Source, err = readString(d)
		case "payload":
			var raw jsontext.Value
			raw, err = d.ReadValue()
			e.Payload = bytes.Clone(raw)
		case "seq":
			e.Seq, err = readInt(d)
		case "processed_at":
			e.ProcessedAt, err = readTime(d)
		case "duplicate_count":
			e.DuplicateCount, err = readInt(d)
		case "conflict_count":
			e.ConflictCount, err = readInt(d)
		case "last_duplicate":
			e.LastDuplicate, err = readTime(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && (e.Topic == "" || e.ID == "" || e.Seq < 1) {
		err = errors.New("an event lacks topic, event_id or seq")
	}
	return e, err
}

// parseEventTime gives the meaning of a timestamp in the usual forms and the
// zero time for rarer ISO 8601; the text itself is what counts.
func parseEventTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
