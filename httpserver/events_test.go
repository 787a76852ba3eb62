package httpserver_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEventsComeInTheOrderOfTheirSeq(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvents("b", "3", "1"))
	n.publish(newEvent("a", "2"))
	n.publish(newEvent("b", "0"))
	list := n.events("")
	require.Equal(t, []string{"3", "1", "2", "0"}, ids(list))
	for i, e := range list {
		require.EqualValues(t, i+1, e.Seq)
	}
	descending := n.events("?order=desc")
	slices.Reverse(descending)
	require.Equal(t, list, descending)
}

func TestAnEmptyListIsAnArray(t *testing.T) {
	n := start(t, setup{})
	for _, query := range []string{"", "?limit=10", "?topic=nobody", "?topic=nobody&limit=10", "?order=desc", "?after=5"} {
		require.Equal(t, "[]\n", string(n.do("GET", "/events"+query, "").body))
	}
	a := n.do("GET", "/events", "", "Accept: application/x-ndjson")
	require.Empty(t, a.body)
	require.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
}

func TestEventsAreFiltered(t *testing.T) {
	n := start(t, setup{})
	add := func(topic, id, source, timestamp string) {
		e := newEvent(topic, id)
		e.Source, e.Timestamp = source, timestamp
		n.publish(e)
	}
	add("a", "1", "x", "2025-01-01T00:00:00Z")
	add("b", "1", "y", "2025-01-02T00:00:00Z")
	add("a", "2", "y", "2025-01-03T00:00:00Z")
	add("a b", "3", "x", "2025-01-03T23:00:00-02:00") // 01:00 on the 4th
	tests := []struct {
		query string
		want  []int64
	}{
		{"topic=a", []int64{1, 3}},
		{"topic=A", nil},
		{"topic=a+b", []int64{4}},
		{"topic=a%20b", []int64{4}},
		{"topic=nobody", nil},
		{"topic=%ff", nil},
		{"event_id=1", []int64{1, 2}},
		{"topic=b&event_id=1", []int64{2}},
		{"source=y", []int64{2, 3}},
		{"source=y&topic=a", []int64{3}},
		{"since=2025-01-02T00:00:00Z", []int64{2, 3, 4}},
		{"since=2025-01-02T00:00:00.000000001Z", []int64{3, 4}},
		{"until=2025-01-02T00:00:00Z", []int64{1, 2}},
		{"since=2025-01-02T00:00:00Z&until=2025-01-03T00:00:00Z", []int64{2, 3}},
		{"since=2025-01-04T00:00", []int64{4}},
		{"since=2025-01-04T02:00:00%2B01:00", []int64{4}},
		{"until=2025-01-01T00:00:00Z&since=2025-01-02T00:00:00Z", nil},
		{"after=2", []int64{3, 4}},
		{"after=4", nil},
		{"after=9223372036854775807", nil},
		{"order=desc&after=3", []int64{2, 1}},
		{"order=desc&topic=a", []int64{3, 1}},
		{"order=asc&limit=2", []int64{1, 2}},
		{"topic=&event_id=&source=&since=&until=&limit=&after=&order=", []int64{1, 2, 3, 4}},
		{"unknown=1", []int64{1, 2, 3, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			n := n.on(t)
			var got []int64
			for _, e := range n.events("?" + tt.query) {
				got = append(got, e.Seq)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestBadParametersOfEventsAreNamed(t *testing.T) {
	n := start(t, setup{})
	tests := []struct{ query, at, typ string }{
		{"limit=0", "query.limit", "greater_than_equal"},
		{"limit=-1", "query.limit", "greater_than_equal"},
		{"limit=1001", "query.limit", "less_than_equal"},
		{"limit=x", "query.limit", "int_parsing"},
		{"limit=1.0", "query.limit", "int_parsing"},
		{"limit=1e2", "query.limit", "int_parsing"},
		{"limit=0x10", "query.limit", "int_parsing"},
		{"limit=10&limit=20", "query.limit", "repeated"},
		{"after=-1", "query.after", "greater_than_equal"},
		{"after=x", "query.after", "int_parsing"},
		{"after=9223372036854775808", "query.after", "int_parsing"},
		{"order=up", "query.order", "literal_error"},
		{"order=DESC", "query.order", "literal_error"},
		{"since=2025-01-04", "query.since", "datetime_parsing"},
		{"since=yesterday", "query.since", "datetime_parsing"},
		{"until=2025-10-24T10:30:00+02:00", "query.until", "datetime_parsing"}, // an unescaped + is a blank
		{"topic=a&topic=b", "query.topic", "repeated"},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			n := n.on(t)
			list := problems(t, n.do("GET", "/events?"+tt.query, ""), "invalid_query")
			require.Len(t, list, 1)
			require.Equal(t, tt.at, list[0].at())
			require.Equal(t, tt.typ, list[0].Type)
		})
	}
	list := problems(t, n.do("GET", "/events?limit=0&order=up&since=x", ""), "invalid_query")
	require.Len(t, list, 3, "all faults are named at once")
}

func TestAWalkOverThePagesGivesTheFullList(t *testing.T) {
	n := start(t, setup{})
	for i := range 7 {
		n.publish(newEvents(fmt.Sprint("t ", i%3, "&"), numbered(fmt.Sprint("e", i), 11)...))
	}
	for _, filter := range []string{"", "topic=t+1%26", "topic=nobody", "source=test"} {
		for _, order := range []string{"asc", "desc"} {
			want := n.events("?order=" + order + "&" + filter)
			for _, limit := range []int{1, 2, 10, 76, 77, 1000} {
				t.Run(fmt.Sprint(filter, " ", order, " ", limit), func(t *testing.T) {
					n := n.on(t)
					got := n.walk(fmt.Sprintf("/events?order=%s&limit=%d&%s", order, limit, filter), limit, len(want)+1)
					require.Equal(t, want, got)
				})
			}
		}
	}
}

// walk follows the Link headers, for at most so many pages.
func (n *node) walk(path string, limit, maxPages int) []storedEvent {
	n.t.Helper()
	all := []storedEvent{}
	for range maxPages {
		a := n.do("GET", path, "")
		page := as[[]storedEvent](n.t, a)
		require.LessOrEqual(n.t, len(page), limit)
		all = append(all, page...)
		if path = next(n.t, a); path == "" {
			return all
		}
	}
	n.t.Fatalf("the pages do not end after %d", maxPages)
	return nil
}

func TestTheListWithoutALimitIsTheSameAsThePages(t *testing.T) {
	n := start(t, setup{})
	const count = 3300 // several pages of the stream, the last one not full
	for i := range count / 1100 {
		n.publish(newEvents(fmt.Sprint("t", i), numbered("e", 1100)...))
	}
	want := n.walk("/events?limit=1000", 1000, 5)
	require.Len(t, want, count)
	a := n.do("GET", "/events", "")
	require.Equal(t, want, as[[]storedEvent](t, a))
	require.Empty(t, a.header.Get("Link"))
	require.Equal(t, n.walk("/events?limit=1000&topic=t1", 1000, 3), n.events("?topic=t1"))

	lines := n.do("GET", "/events?order=desc", "", "Accept: application/x-ndjson")
	slices.Reverse(want)
	require.Equal(t, want, fromLines(t, lines))
}

func fromLines(t testing.TB, a answer) []storedEvent {
	t.Helper()
	require.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
	var events []storedEvent
	for line := range strings.Lines(string(a.body)) {
		require.True(t, strings.HasSuffix(line, "}\n"))
		events = append(events, as[storedEvent](t, answer{body: []byte(line)}))
	}
	return events
}

func TestEventsComeAsLinesWhenAskedFor(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvents("a", numbered("e", 5)...))
	for _, query := range []string{"", "?limit=3", "?limit=5"} {
		for _, accept := range []string{"application/x-ndjson", "text/html, application/x-ndjson;q=0.9"} {
			lines := n.do("GET", "/events"+query, "", "Accept: "+accept)
			require.Equal(t, n.events(query), fromLines(t, lines))
		}
	}
	require.NotEmpty(t, n.do("GET", "/events?limit=3", "", "Accept: application/x-ndjson").header.Get("Link"))
	require.Equal(t, "application/json", n.do("GET", "/events", "", "Accept: */*").header.Get("Content-Type"))
}

func TestHeadHasTheHeadersOfGetAndNoBody(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvents("a", "1", "2"))
	for _, path := range []string{"/events", "/events?limit=1", "/stats", "/topics", "/topics/a/events/1", "/topics/a/events/9", "/health", "/", "/nowhere"} {
		t.Run(path, func(t *testing.T) {
			n := n.on(t)
			get, head := n.do("GET", path, ""), n.do("HEAD", path, "")
			require.Equal(t, get.status, head.status)
			require.Empty(t, head.body)
			for _, name := range []string{"Content-Type", "Link", "X-Content-Type-Options"} {
				require.Equal(t, get.header.Get(name), head.header.Get(name), name)
			}
		})
	}
}

func TestNothingFollowsTheHeadersOfHead(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvent("a", "1"))
	for _, path := range []string{"/events", "/events?limit=1", "/stats", "/nowhere"} {
		conn, err := n.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, "HEAD "+path+" HTTP/1.1\r\nHost: x\r\n\r\nGET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		both, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		_, second, _ := strings.Cut(string(both), "\r\n\r\n")
		require.True(t, strings.HasPrefix(second, "HTTP/1.1 200 OK\r\n"), "%s: %q", path, second)
	}
}
