package apptest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// server is a running 'sekali serve' on a free port.
type server struct {
	*process
	*client.Client
	url string
}

// startServer serves dir and returns when the server says so.
func startServer(t testing.TB, dir string, args ...string) *server {
	t.Helper()
	args = slices.Concat([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json"}, args)
	return served(t, launch(t, nil, args...))
}

// served waits until the process p serves.
func served(t testing.TB, p *process) *server {
	t.Helper()
	url, ok := p.logLine("serving")["url"].(string)
	require.True(t, ok)
	c, err := client.New(url, client.Options{RequestTimeout: patience, MaxAttempts: 1})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &server{process: p, Client: c, url: url}
}

// publish stores the events and requires an answer for each.
func (s *server) publish(events ...sekali.Event) []client.Result {
	s.t.Helper()
	results, err := s.Publish(s.t.Context(), events)
	require.NoError(s.t, err)
	require.Len(s.t, results, len(events))
	return results
}

func (s *server) stats() client.Stats {
	s.t.Helper()
	stats, err := s.Stats(s.t.Context())
	require.NoError(s.t, err)
	require.Equal(s.t, stats.UniqueProcessed+stats.DuplicateDropped, stats.Received)
	return stats
}

// rows reads all events.
func (s *server) rows() []sekali.StoredEvent {
	s.t.Helper()
	var rows []sekali.StoredEvent
	for e, err := range s.Events(s.t.Context(), client.Query{}) {
		require.NoError(s.t, err)
		rows = append(rows, e)
	}
	return rows
}

// topicSums adds the counts of all topics.
func (s *server) topicSums() (sum sekali.TopicStats) {
	s.t.Helper()
	for topic, err := range s.Topics(s.t.Context(), client.TopicsQuery{}) {
		require.NoError(s.t, err)
		sum.Unique += topic.Unique
		sum.Duplicates += topic.Duplicates
		sum.Conflicts += topic.Conflicts
	}
	return sum
}

func event(topic, id string) sekali.Event {
	at := time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)
	return sekali.Event{
		Topic: topic, ID: id, Source: "apptest", Timestamp: "2025-10-24T10:30:00Z", Time: at,
		Payload: fmt.Appendf(nil, `{"id": %q, "n": 9007199254740993}`, id),
	}
}
