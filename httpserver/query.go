package httpserver

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
)

const (
	maxPageLimit       = 1000
	defaultTopicsLimit = 100
)

// params reads query parameters and gathers the faults in them. Names that no
// endpoint knows are ignored, an empty value counts as absent.
type params struct {
	args   *fasthttp.Args
	faults []fault
}

func (p *params) fault(name, typ, msg string) {
	p.faults = append(p.faults, fault{field: name, typ: typ, msg: msg})
}

func (p *params) err() error {
	if len(p.faults) == 0 {
		return nil
	}
	return &validationError{code: codeInvalidQuery, faults: p.faults, base: location{root: "query"}}
}

func (p *params) text(name string) string {
	values := p.args.PeekMulti(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return string(values[0])
	default:
		p.fault(name, "repeated", "Parameter should appear once")
		return ""
	}
}

// number returns the parameter, or absent when it is not there.
func (p *params) number(name string, absent, low, high int64) int64 {
	s := p.text(name)
	if s == "" {
		return absent
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		p.fault(name, "int_parsing", "Input should be a valid integer, unable to parse string as an integer")
		return absent
	case n < low:
		p.fault(name, "greater_than_equal", "Input should be greater than or equal to "+strconv.FormatInt(low, 10))
	case n > high:
		p.fault(name, "less_than_equal", "Input should be less than or equal to "+strconv.FormatInt(high, 10))
	}
	return n
}

func (p *params) time(name string) time.Time {
	s := p.text(name)
	if s == "" {
		return time.Time{}
	}
	t, why := parseTimestamp(s)
	if why != "" {
		p.fault(name, "datetime_parsing", "Input should be a valid datetime like 2025-10-24T10:30:00Z (a + is sent as %2B): "+why)
	}
	return t
}

const maxSeq = 1<<63 - 1

// parseEventsQuery reads the filters of GET /events; limit 0 stands for
// everything.
func parseEventsQuery(args *fasthttp.Args) (sekali.EventsQuery, error) {
	p := params{args: args}
	q := sekali.EventsQuery{
		Topic: p.text("topic"), EventID: p.text("event_id"), Source: p.text("source"),
		Since: p.time("since"), Until: p.time("until"),
		After: p.number("after", 0, 0, maxSeq),
		Limit: int(p.number("limit", 0, 1, maxPageLimit)),
	}
	switch order := p.text("order"); order {
	case "", "asc":
	case "desc":
		q.Descending = true
	default:
		p.fault("order", "literal_error", "Input should be 'asc' or 'desc'")
	}
	return q, p.err()
}

func parseTopicsQuery(args *fasthttp.Args) (sekali.TopicsQuery, error) {
	p := params{args: args}
	q := sekali.TopicsQuery{After: p.text("after"), Limit: int(p.number("limit", defaultTopicsLimit, 1, maxPageLimit))}
	return q, p.err()
}

// announceNext sets the Link header to the same request with another cursor.
func announceNext(ctx *fasthttp.RequestCtx, after string) {
	var args fasthttp.Args
	ctx.QueryArgs().CopyTo(&args)
	args.Set("after", after)
	ctx.Response.Header.Set("Link", "<"+string(ctx.URI().PathOriginal())+"?"+args.String()+`>; rel="next"`)
}

func wantsLines(ctx *fasthttp.RequestCtx) bool {
	return strings.Contains(string(ctx.Request.Header.Peek("Accept")), "application/x-ndjson")
}
