package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

// Result is the answer for one event.
type Result struct {
	Outcome sekali.Outcome
	// Seq is the position of the stored event: for a duplicate that of the
	// first one.
	Seq int64
	// Conflict marks a duplicate whose content differs from what is stored.
	Conflict bool
	// Invalid says why OutcomeInvalid refused the event; lenient requests only.
	Invalid []FieldError
}

// Request is an encoded publish request.
type Request struct {
	// Body is a JSON object or array of events, as AppendEvent makes them.
	// It must not be changed, even after PublishOnce returned: the connection
	// may still be sending it when an early refusal was received.
	Body []byte
	// Lenient asks to store the valid events when others are not; otherwise
	// one invalid event has the whole request refused.
	Lenient bool

	gzipped bool // the body is
}

// Answer is what the server said to one publish attempt.
type Answer struct {
	Status int // 0 when no complete answer came
	// Accepted, Stored and Duplicates count events; Accepted is the sum.
	Accepted, Stored, Duplicates int64
	// Results are in the order of the request.
	Results   []Result
	RequestID string
	// Latency is the time from the start of the attempt to the last byte of
	// its answer, or to its failure.
	Latency time.Duration
}

// PublishOnce makes a single attempt to publish a request that is already
// encoded. The Answer's Status and Latency are set even with an error, which is
// an *APIError or a *NoAnswerError. It does not check that there is a result
// for each event.
func (c *Client) PublishOnce(ctx context.Context, req Request) (Answer, error) {
	start := time.Now()
	r, err := c.exchange(ctx, http.MethodPost, c.publish, publishHeader(req), req.Body)
	answer := Answer{Latency: time.Since(start)}
	if err != nil {
		return answer, err
	}
	defer r.release()
	answer.Status = r.status
	answer.RequestID = r.header.Get("X-Request-Id")
	if r.status != http.StatusOK {
		return answer, newAPIError(r)
	}
	if err := decodeDocument(r.body, answer.decode); err != nil {
		return answer, &NoAnswerError{Err: fmt.Errorf("decode the answer to a publish: %w", err)}
	}
	return answer, nil
}

// Made once: a header per request would be two allocations of each.
var (
	strictHeader  = http.Header{"Content-Type": {"application/json"}}
	lenientHeader = http.Header{"Content-Type": {"application/json"}, "Prefer": {"handling=lenient"}}
)

func publishHeader(req Request) http.Header {
	header := strictHeader
	if req.Lenient {
		header = lenientHeader
	}
	if req.gzipped {
		header = header.Clone()
		header.Set("Content-Encoding", "gzip")
	}
	return header
}

// Publish sends the events, split into as many requests as needed, one after
// the other, and retries each as the package text says. It returns one result
// per event, in order. With an error the results are those of the events up to
// the request that failed, so events[len(results):] are the ones to send again.
func (c *Client) Publish(ctx context.Context, events []sekali.Event) ([]Result, error) {
	results := make([]Result, 0, len(events))
	for len(results) < len(events) {
		first := len(results)
		body, n, err := c.encodeChunk(events[first:])
		if err != nil {
			return results, fmt.Errorf("encode event %d: %w", first+n, err)
		}
		answer, err := c.publishRetrying(ctx, Request{Body: body}, n)
		if err != nil {
			return results, fmt.Errorf("publish events %d to %d: %w", first, first+n-1, err)
		}
		results = append(results, answer.Results...)
	}
	return results, nil
}

// publishRetrying publishes a request of n events and makes sure that the
// answer has n results.
func (c *Client) publishRetrying(ctx context.Context, req Request, n int) (answer Answer, err error) {
	if c.options.Compress {
		req = compressed(req)
	}
	err = c.Retry(ctx, func(ctx context.Context) (err error) {
		answer, err = c.PublishOnce(ctx, req)
		if err == nil && len(answer.Results) != n {
			err = &NoAnswerError{Err: fmt.Errorf("the answer has %d results for %d events", len(answer.Results), n)}
		}
		return err
	})
	return answer, err
}

// encodeChunk encodes as many events as one request may hold. On an error n is
// the index of the event that cannot be encoded, unless events before it can
// go first.
func (c *Client) encodeChunk(events []sekali.Event) (body []byte, n int, err error) {
	body = []byte{'['}
	for n < min(len(events), c.options.MaxBatchEvents) {
		before := len(body)
		if n > 0 {
			body = append(body, ',')
		}
		if body, err = AppendEvent(body, &events[n]); err != nil && n == 0 {
			return nil, n, err
		}
		if err != nil || n > 0 && len(body) >= c.options.MaxBatchBytes {
			body = body[:before]
			break
		}
		n++
	}
	return append(body, ']'), n, nil
}

func (a *Answer) decode(d *jsontext.Decoder) error {
	found := false
	err := decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "accepted":
			found = true
			a.Accepted, err = readInt(d)
		case "stored":
			a.Stored, err = readInt(d)
		case "duplicates":
			a.Duplicates, err = readInt(d)
		case "results":
			err = a.decodeResults(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%q is missing; is this a Sekali server?", "accepted")
	}
	return err
}

func (a *Answer) decodeResults(d *jsontext.Decoder) error {
	// Sekali sends the counts first, so that one allocation holds the results.
	a.Results = make([]Result, 0, min(max(a.Accepted, 0), 10_000))
	return decodeArray(d, func() error {
		r, err := readResult(d)
		a.Results = append(a.Results, r)
		return err
	})
}

func readResult(d *jsontext.Decoder) (r Result, err error) {
	err = decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "outcome":
			r.Outcome, err = readOutcome(d)
		case "seq":
			r.Seq, err = readInt(d)
		case "conflict":
			r.Conflict, err = readBool(d)
		case "detail":
			_, r.Invalid, err = readDetail(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && r.Outcome == sekali.OutcomeUnknown {
		err = errors.New("a result has no outcome")
	}
	return r, err
}

func readOutcome(d *jsontext.Decoder) (sekali.Outcome, error) {
	raw, err := d.ReadValue()
	if err != nil {
		return sekali.OutcomeUnknown, err
	}
	switch string(raw) {
	case `"stored"`:
		return sekali.OutcomeStored, nil
	case `"duplicate"`:
		return sekali.OutcomeDuplicate, nil
	case `"invalid"`:
		return sekali.OutcomeInvalid, nil
	}
	return sekali.OutcomeUnknown, fmt.Errorf("unknown outcome %s", raw)
}
