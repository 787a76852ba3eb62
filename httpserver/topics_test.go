package httpserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// topicsPage is the answer of GET /topics.
type topicsPage struct {
	Topics []topicCounts `json:"topics"`
	Next   string        `json:"next"`
}

type topicCounts struct {
	Topic            string `json:"topic"`
	Received         int64  `json:"received"`
	UniqueProcessed  int64  `json:"unique_processed"`
	DuplicateDropped int64  `json:"duplicate_dropped"`
	Conflicts        int64  `json:"conflicts"`
	FirstSeen        string `json:"first_seen"`
	LastSeen         string `json:"last_seen"`
}

// eventDetail is the answer of GET /topics/{topic}/events/{event_id}.
type eventDetail struct {
	storedEvent
	FirstSeen      string  `json:"first_seen"`
	DuplicateCount int64   `json:"duplicate_count"`
	ConflictCount  int64   `json:"conflict_count"`
	LastDuplicate  *string `json:"last_duplicate"`
}

func TestTopicsHaveTheirOwnCounts(t *testing.T) {
	n := start(t, setup{})
	other := newEvent("b", "1")
	other.Source = "elsewhere"
	n.publish([]event{newEvent("b", "1"), newEvent("b", "2"), newEvent("a", "1"), newEvent("b", "1"), other})

	for range 2 {
		page := as[topicsPage](t, n.do("GET", "/topics", ""))
		require.Empty(t, page.Next)
		require.Len(t, page.Topics, 2)
		a, b := page.Topics[0], page.Topics[1]
		require.Equal(t, topicCounts{Topic: "a", Received: 1, UniqueProcessed: 1, FirstSeen: a.FirstSeen, LastSeen: a.LastSeen}, a)
		require.Equal(t, topicCounts{Topic: "b", Received: 4, UniqueProcessed: 2, DuplicateDropped: 2, Conflicts: 1, FirstSeen: b.FirstSeen, LastSeen: b.LastSeen}, b)
		require.LessOrEqual(t, b.FirstSeen, b.LastSeen)
		n.restart()
	}
}

func TestTopicsOfAnEmptyServer(t *testing.T) {
	n := start(t, setup{})
	require.JSONEq(t, `{"topics":[]}`, string(n.do("GET", "/topics", "").body))
}

func TestTopicsAreReadInPages(t *testing.T) {
	n := start(t, setup{})
	var want []string
	for i := range 25 {
		// Names that a careless Link would break.
		topic := fmt.Sprintf("t%02d /?&=+%%<>é", i)
		want = append(want, topic)
		n.publish(newEvent(topic, "1"))
	}
	for _, limit := range []int{1, 7, 24, 25, 1000} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			n := n.on(t)
			var got []string
			for path := fmt.Sprint("/topics?limit=", limit); path != ""; {
				a := n.do("GET", path, "")
				page := as[topicsPage](t, a)
				for _, topic := range page.Topics {
					got = append(got, topic.Topic)
				}
				require.LessOrEqual(t, len(page.Topics), limit)
				path = next(t, a)
				require.Equal(t, path != "", page.Next != "")
				require.LessOrEqual(t, len(got), len(want), "the pages do not end")
			}
			require.Equal(t, want, got)
		})
	}
	page := as[topicsPage](t, n.do("GET", "/topics?after="+url.QueryEscape(want[22]), ""))
	require.Equal(t, want[23], page.Topics[0].Topic)
	require.Len(t, page.Topics, 2)
}

// next returns the path of the page that the Link header announces, or "".
func next(t testing.TB, a answer) string {
	t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	path, isNext := strings.CutSuffix(link, `>; rel="next"`)
	require.True(t, isNext, link)
	require.True(t, strings.HasPrefix(path, "</"), link)
	return path[1:]
}

func TestBadParametersOfTopicsAreNamed(t *testing.T) {
	n := start(t, setup{})
	for _, limit := range []string{"0", "1001", "-1", "x", "1.5", "99999999999999999999"} {
		list := problems(t, n.do("GET", "/topics?limit="+limit, ""), "invalid_query")
		require.Equal(t, "query.limit", list[0].at())
	}
	list := problems(t, n.do("GET", "/topics?after=a&after=b", ""), "invalid_query")
	require.Equal(t, "query.after", list[0].at())
}

func TestAnEventTellsItsDuplicatesRightAfterPublishing(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvent("a", "1"))
	d := as[eventDetail](t, n.do("GET", "/topics/a/events/1", ""))
	require.Equal(t, newEvent("a", "1"), d.event)
	require.EqualValues(t, 1, d.Seq)
	require.Equal(t, d.ProcessedAt, d.FirstSeen)
	require.Zero(t, d.DuplicateCount)
	require.Nil(t, d.LastDuplicate)

	other := newEvent("a", "1")
	other.Source = "elsewhere"
	for i := range 20 {
		n.publish([]event{newEvent("a", "1"), other})
		d = as[eventDetail](t, n.do("GET", "/topics/a/events/1", ""))
		require.EqualValues(t, 2*(i+1), d.DuplicateCount)
		require.EqualValues(t, i+1, d.ConflictCount)
		require.NotNil(t, d.LastDuplicate)
		require.GreaterOrEqual(t, *d.LastDuplicate, d.FirstSeen)
		require.Equal(t, "test", d.Source)
	}
	n.restart()
	require.Equal(t, d, as[eventDetail](t, n.do("GET", "/topics/a/events/1", "")))
}

func TestAnUnknownEventIsNotFound(t *testing.T) {
	n := start(t, setup{})
	n.publish(newEvent("a", "1"))
	for _, path := range []string{"/topics/a/events/2", "/topics/b/events/1", "/topics/A/events/1", "/topics/a/events/%00", "/topics/%ff/events/1"} {
		refused(t, n.do("GET", path, ""), http.StatusNotFound, "not_found")
	}
}

func TestOddNamesMakeTheRoundTripThroughThePath(t *testing.T) {
	n := start(t, setup{})
	for _, name := range []string{
		"a/b", "a%2Fb", "100%", "%", "..", ".", "a//b", "/", "a b", "a+b", "?x=1&y", "#x", ";", `a"b\c`, "<é😀>",
		"events", "{topic}", strings.Repeat("é", 127), "\u202e", "-", "*", "~", "a\u00a0b",
	} {
		t.Run(name, func(t *testing.T) {
			n := n.on(t)
			e := newEvent(name, name)
			e.Source = name
			require.Equal(t, 1, n.publish(e).Stored)
			d := as[eventDetail](t, n.do("GET", "/topics/"+escapeAll(name)+"/events/"+escapeAll(name), ""))
			require.Equal(t, e, d.event)
			q := "?topic=" + url.QueryEscape(name) + "&event_id=" + url.QueryEscape(name) + "&source=" + url.QueryEscape(name)
			require.Len(t, n.events(q), 1)
			if url.PathEscape(name) != name {
				d = as[eventDetail](t, n.do("GET", "/topics/"+url.PathEscape(name)+"/events/"+url.PathEscape(name), ""))
				require.Equal(t, e, d.event)
			}
		})
	}
}

// escapeAll escapes every byte, dots included: a client would resolve those.
func escapeAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}
