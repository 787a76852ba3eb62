package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrClosed is returned by a Batcher after Close.
var ErrClosed = errors.New("client: the batcher is closed")

// APIError is a refusal by the server, or by something in front of it.
type APIError struct {
	Status int    // HTTP status
	Code   string // the server's stable name for it; "" when it gave none
	Detail string // text for people
	// Fields lists what is wrong with which part of the request, for a 422.
	Fields    []FieldError
	RequestID string
	// RetryAfter is the pause that the server asked for; 0 when it did not.
	RetryAfter time.Duration
}

// FieldError names one part of a request and what is wrong with it.
type FieldError struct {
	Loc  string // path such as body.0.event_id
	Msg  string
	Type string // stable name, such as missing
}

// Error returns status, code, detail and request id.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		b.WriteString(" (" + e.Code + ")")
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.RequestID != "" {
		b.WriteString(" [request " + e.RequestID + "]")
	}
	return b.String()
}

// NoAnswerError means that no complete answer arrived: the events of the
// request may or may not be stored, unless Unsent says otherwise.
type NoAnswerError struct {
	Err error
}

// Error returns the cause.
func (e *NoAnswerError) Error() string { return "no complete answer: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// Unsent reports that no connection could be made, so that nothing of the
// request reached a server.
func (e *NoAnswerError) Unsent() bool {
	op, ok := errors.AsType[*net.OpError](e.Err)
	return ok && op.Op == "dial"
}

// Retryable reports whether the same request can succeed later: no complete
// answer came, or it was 408, 429 or 5xx.
func Retryable(err error) bool {
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.Status == http.StatusRequestTimeout || api.Status == http.StatusTooManyRequests || api.Status >= 500
	}
	_, ok := errors.AsType[*NoAnswerError](err)
	return ok
}

// newAPIError describes a reply other than 200. A body that is not of the
// API's shape, as a proxy may give, is quoted in part.
func newAPIError(r *reply) *APIError {
	e := &APIError{
		Status:     r.status,
		RequestID:  r.header.Get("X-Request-Id"),
		RetryAfter: parseRetryAfter(r.header.Get("Retry-After"), time.Now()),
	}
	quoted := quoteStart(r.body.Bytes()) // decoding consumes the body
	if err := decodeError(newDecoder(r.body), e); err != nil {
		e.Code, e.Fields, e.Detail = "", nil, quoted
	}
	return e
}

func quoteStart(body []byte) string {
	const limit = 200
	if len(body) > limit {
		body = body[:limit]
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(body)), "?")
}

// parseRetryAfter reads seconds or an HTTP date; anything else is 0.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func decodeError(d *jsontext.Decoder, e *APIError) error {
	return decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "code":
			e.Code, err = readString(d)
		case "detail":
			e.Detail, e.Fields, err = readDetail(d)
		case "request_id":
			e.RequestID, err = readString(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
}

// readDetail reads FastAPI's two forms of detail: a text, or a list of field
// errors, which also becomes a text.
func readDetail(d *jsontext.Decoder) (string, []FieldError, error) {
	if d.PeekKind() == '"' {
		s, err := readString(d)
		return s, nil, err
	}
	var fields []FieldError
	err := decodeArray(d, func() error {
		f, err := readFieldError(d)
		fields = append(fields, f)
		return err
	})
	return describeFields(fields), fields, err
}

func describeFields(fields []FieldError) string {
	const shown = 3
	var parts []string
	for _, f := range fields[:min(len(fields), shown)] {
		parts = append(parts, f.Loc+": "+f.Msg)
	}
	if more := len(fields) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

func readFieldError(d *jsontext.Decoder) (f FieldError, err error) {
	err = decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "loc":
			f.Loc, err = readLoc(d)
		case "msg":
			f.Msg, err = readString(d)
		case "type":
			f.Type, err = readString(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	return f, err
}

func readLoc(d *jsontext.Decoder) (string, error) {
	var parts []string
	err := decodeArray(d, func() error {
		tok, err := d.ReadToken()
		if err == nil {
			parts = append(parts, tok.String())
		}
		return err
	})
	return strings.Join(parts, "."), err
}
