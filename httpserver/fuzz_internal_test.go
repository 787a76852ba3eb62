package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"sekali"
)

// The corpora lie in testdata/fuzz.

func FuzzParseEvents(f *testing.F) {
	const maxEvents = 50
	f.Fuzz(func(t *testing.T, body []byte) {
		sent := bytes.Clone(body)
		batch, err := parseEvents(body, maxEvents)
		if err != nil {
			requireRefusal(t, err)
			return
		}
		require.LessOrEqual(t, batch.total, maxEvents)
		faulty := map[int]bool{}
		for _, fault := range batch.faults {
			faulty[fault.index] = true
		}
		require.Equal(t, batch.total, len(batch.events)+len(faulty))
		require.True(t, json.Valid(appendFaults(nil, batch.at, batch.faults, batch.unlisted)))

		before := make([]string, len(batch.events))
		for i := range batch.events {
			requireRules(t, &batch.events[i], sent)
			before[i] = written(&batch.events[i])
		}
		for i := range body {
			body[i] = '#'
		}
		overwritePooledParsers(t)
		for i := range batch.events {
			require.Equal(t, before[i], written(&batch.events[i]), "the event shares memory with the body")
		}
	})
}

// overwritePooledParsers has a parser that may be the one used before unescape
// strings as long as any.
func overwritePooledParsers(t *testing.T) {
	t.Helper()
	field := strings.Repeat(`\u0023`, 255)
	_, err := parseEvents(fmt.Appendf(nil, `{"topic":"%s","event_id":"%s","source":"%s"}`, field, field, field), 1)
	require.NoError(t, err)
}

func requireRefusal(t *testing.T, err error) {
	t.Helper()
	var (
		known  *sekali.Error
		faults *validationError
	)
	switch {
	case errors.As(err, &known):
		require.Contains(t, []sekali.Code{codeMalformed, codeBatchTooLarge}, known.Code)
		require.True(t, utf8.ValidString(known.Message))
	case errors.As(err, &faults):
		require.Equal(t, sekali.CodeInvalidEvent, faults.code)
		require.NotEmpty(t, faults.faults)
	default:
		require.NoError(t, err)
	}
}

// requireRules checks an accepted event against the rules of the API.
func requireRules(t *testing.T, e *sekali.Event, body []byte) {
	t.Helper()
	for _, value := range []string{e.Topic, e.ID, e.Source} {
		require.NotEmpty(t, value)
		require.LessOrEqual(t, len(value), 255)
		require.True(t, utf8.ValidString(value))
		require.False(t, strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f }))
	}
	parsed, why := parseTimestamp(e.Timestamp)
	require.Empty(t, why)
	require.Equal(t, parsed, e.Time)
	require.True(t, bytes.Contains(body, e.Payload), "the payload is not what was sent")
	require.Equal(t, byte('{'), e.Payload[0])
	require.True(t, json.Valid(e.Payload))
	require.True(t, utf8.Valid(e.Payload))
}

func written(e *sekali.Event) string {
	return string(appendEvent(nil, &sekali.StoredEvent{Event: *e}))
}

func FuzzParseTimestamp(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		got, why := parseTimestamp(s)
		if why != "" {
			require.True(t, utf8.ValidString(why))
			return
		}
		require.LessOrEqual(t, len(s), 64)
		require.GreaterOrEqual(t, got.Year(), minYear)
		require.LessOrEqual(t, got.Year(), maxYear)
		require.Equal(t, time.UTC, got.Location())
		if other, err := time.Parse(time.RFC3339Nano, s); err == nil {
			require.True(t, got.Equal(other), "%s here and %s in package time", got, other)
		}
		again, why := parseTimestamp(got.Format(time.RFC3339Nano))
		require.Empty(t, why)
		require.Equal(t, got, again)
		require.Equal(t, got, time.Unix(0, got.UnixNano()).UTC(), "the store keeps nanoseconds in 64 bits")
	})
}

func FuzzQuery(f *testing.F) {
	routes := apiRoutes()
	f.Fuzz(func(t *testing.T, path, query string) {
		if segments, err := splitPath(path); err == nil {
			for _, r := range routes {
				args, ok := match(r.pattern, segments)
				require.True(t, !ok || len(args) == strings.Count(r.pattern, "{"), "%q for %s", args, r.pattern)
			}
		}
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI("/events")
		ctx.URI().SetQueryString(query)
		if q, err := parseTopicsQuery(ctx.QueryArgs()); err == nil {
			require.True(t, q.Limit >= 1 && q.Limit <= maxPageLimit)
		}
		q, err := parseEventsQuery(ctx.QueryArgs())
		if err != nil {
			return
		}
		require.True(t, q.Limit >= 0 && q.Limit <= maxPageLimit)
		require.GreaterOrEqual(t, q.After, int64(0))
		announceNext(&ctx, "7")
		q.After = 7
		require.Equal(t, q, follow(t, string(ctx.Response.Header.Peek("Link"))), "the next page has the same filters")
	})
}

// follow reads the query of the page that a Link header announces.
func follow(t *testing.T, link string) sekali.EventsQuery {
	t.Helper()
	require.False(t, strings.ContainsAny(link, "\r\n"))
	target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	require.True(t, ok)
	var args fasthttp.Args
	_, query, _ := strings.Cut(target, "?")
	args.Parse(query)
	q, err := parseEventsQuery(&args)
	require.NoError(t, err)
	return q
}
