package client_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

func storedEvent(seq int) string {
	return fmt.Sprintf(`{"topic":"a","event_id":"e-%d","timestamp":"2025-10-24T10:30:00Z","source":"s",`+
		`"payload":{"n": 9007199254740993},"seq":%d,"processed_at":"2025-10-24T10:30:01.5Z"}`, seq, seq)
}

func TestEventsFollowsTheLinksToTheLastPage(t *testing.T) {
	var queries []string
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		switch r.URL.Query().Get("after") {
		case "":
			w.Header().Set("Link", `</somewhere>; rel="prev", <http://other.test/elsewhere?after=2&limit=2&topic=a>; rel="next"`)
			write(t, w, 200, "["+storedEvent(1)+","+storedEvent(2)+"]")
		case "2": // A page may be empty and still have a next one.
			w.Header().Set("Link", `</events?after=9&limit=2&topic=a>; rel="next"`)
			write(t, w, 200, "[]")
		default:
			write(t, w, 200, "["+storedEvent(10)+"]")
		}
	})
	var seqs []int64
	for e, err := range c.Events(t.Context(), client.Query{Topic: "a", PageSize: 2}) {
		require.NoError(t, err)
		seqs = append(seqs, e.Seq)
		require.Equal(t, `{"n": 9007199254740993}`, string(e.Payload))
		require.Equal(t, "2025-10-24T10:30:00Z", e.Timestamp)
		require.Equal(t, time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC), e.Time.UTC())
		require.Equal(t, 500_000_000, e.ProcessedAt.Nanosecond())
	}
	require.Equal(t, []int64{1, 2, 10}, seqs)
	require.Equal(t, []string{"limit=2&topic=a", "after=2&limit=2&topic=a", "after=9&limit=2&topic=a"}, queries)
}

func TestEventsSendsItsFilters(t *testing.T) {
	var got url.Values
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Query()
		write(t, w, 200, "[]")
	})
	for _, err := range c.Events(t.Context(), client.Query{
		Topic: "a&b", EventID: "1", Source: "s", After: 7, Descending: true,
		Since: time.Unix(0, 0).UTC(), Until: time.Unix(1, 5).UTC(),
	}) {
		t.Fatalf("there are no events, but: %v", err)
	}
	require.Equal(t, url.Values{
		"topic": {"a&b"}, "event_id": {"1"}, "source": {"s"}, "after": {"7"}, "order": {"desc"}, "limit": {"1000"},
		"since": {"1970-01-01T00:00:00Z"}, "until": {"1970-01-01T00:00:01.000000005Z"},
	}, got)
}

func TestEventsEndsWithTheErrorOfAPage(t *testing.T) {
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") != "" {
			write(t, w, 422, `{"code":"invalid_query","detail":[{"loc":["query","after"],"msg":"m","type":"t"}]}`)
			return
		}
		w.Header().Set("Link", `</events?after=1>; rel="next"`)
		write(t, w, 200, "["+storedEvent(1)+"]")
	})
	var seen int
	var last error
	for e, err := range c.Events(t.Context(), client.Query{}) {
		last = err
		if err == nil {
			seen++
			require.EqualValues(t, 1, e.Seq)
		}
	}
	require.Equal(t, 1, seen)
	var refused *client.APIError
	require.ErrorAs(t, last, &refused)
	require.Equal(t, "query.after: m", refused.Detail)
}

func TestEventsStopsWhenItsCallerDoes(t *testing.T) {
	var requests int
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Link", fmt.Sprintf(`</events?after=%d>; rel="next"`, requests))
		write(t, w, 200, "["+storedEvent(1)+","+storedEvent(2)+"]")
	})
	for _, err := range c.Events(t.Context(), client.Query{}) {
		require.NoError(t, err)
		break
	}
	require.Equal(t, 1, requests)
}

func TestALinkToTheSamePageIsAnError(t *testing.T) {
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+r.URL.String()+`>; rel="next"`)
		write(t, w, 200, "[]")
	})
	for _, err := range c.Events(t.Context(), client.Query{}) {
		require.ErrorContains(t, err, "same page")
	}
}

func TestReadsAreTriedAgain(t *testing.T) {
	var requests int
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if requests < 3 {
			write(t, w, 503, overloaded)
			return
		}
		write(t, w, 200, `{"received":3,"unique_processed":2,"duplicate_dropped":1,"topics":["a"],"uptime_seconds":1.5,"new":1}`)
	})
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Stats{
		Received: 3, UniqueProcessed: 2, DuplicateDropped: 1, Topics: []string{"a"}, Uptime: 1500 * time.Millisecond,
	}, stats)
}

func TestStatsReadsEveryMember(t *testing.T) {
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		write(t, w, 200, `{"received":3,"unique_processed":2,"duplicate_dropped":1,"topics":["a","b"],"uptime_seconds":3600.5,
			"conflicts":4,"topics_total":1001,"topics_truncated":true,"in_flight":5,"active_topics":6,"durability":"durable",
			"started_at":"2025-10-24T10:30:00Z","goroutines":7}`)
	})
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Stats{
		Received: 3, UniqueProcessed: 2, DuplicateDropped: 1, Conflicts: 4,
		Topics: []string{"a", "b"}, TopicsTotal: 1001, TopicsTruncated: true,
		InFlight: 5, ActiveTopics: 6, Goroutines: 7, Durability: "durable",
		StartedAt: time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC), Uptime: 3600500 * time.Millisecond,
	}, stats)
}

func TestTopicsReadsPages(t *testing.T) {
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		name, next := "a", `,"next":"a"`
		if r.URL.Query().Get("after") == "a" {
			name, next = "b", ""
		} else {
			w.Header().Set("Link", `</topics?after=a&limit=1>; rel="next"`)
		}
		write(t, w, 200, `{"topics":[{"topic":"`+name+`","received":3,"unique_processed":2,"duplicate_dropped":1,`+
			`"conflicts":1,"first_seen":"2025-10-24T10:30:00Z","last_seen":"2025-10-24T10:30:01Z"}]`+next+`}`)
	})
	var topics []sekali.TopicStats
	for topic, err := range c.Topics(t.Context(), client.TopicsQuery{PageSize: 1}) {
		require.NoError(t, err)
		topics = append(topics, topic)
	}
	at := time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)
	stats := sekali.TopicStats{Topic: "a", Unique: 2, Duplicates: 1, Conflicts: 1, FirstSeen: at, LastSeen: at.Add(time.Second)}
	second := stats
	second.Topic = "b"
	require.Equal(t, []sekali.TopicStats{stats, second}, topics)
}

func TestEventReadsOneEventByItsIdentity(t *testing.T) {
	var path string
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		if strings.HasSuffix(path, "absent") {
			write(t, w, 404, `{"code":"not_found","detail":"there is no such event","request_id":"r"}`)
			return
		}
		body := strings.TrimSuffix(storedEvent(4), "}")
		write(t, w, 200, body+`,"first_seen":"2025-10-24T10:30:01.5Z","duplicate_count":3,"conflict_count":1,"last_duplicate":null}`)
	})
	e, err := c.Event(t.Context(), "a/b ü", "e?4")
	require.NoError(t, err)
	require.Equal(t, "/topics/a%2Fb%20%C3%BC/events/e%3F4", path)
	require.EqualValues(t, 4, e.Seq)
	require.EqualValues(t, 3, e.DuplicateCount)
	require.EqualValues(t, 1, e.ConflictCount)
	require.True(t, e.LastDuplicate.IsZero())

	_, err = c.Event(t.Context(), "a", "absent")
	var refused *client.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "not_found", refused.Code)
}

func TestHealthAndReadyAskOnce(t *testing.T) {
	var requests int
	c := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.URL.Path == "/health" {
			write(t, w, 200, `{"status":"ok","version":"v1","uptime_seconds":2}`)
			return
		}
		write(t, w, 503, `{"code":"shutting_down","detail":"d","request_id":"r"}`)
	})
	health, err := c.Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Health{Status: "ok", Version: "v1", Uptime: 2 * time.Second}, health)
	err = c.Ready(t.Context())
	var refused *client.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "shutting_down", refused.Code)
	require.Equal(t, 2, requests)
}
