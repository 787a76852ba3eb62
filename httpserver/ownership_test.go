package httpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"sekali"
)

// keeper is an ingester that remembers the events as it got them, as the
// actors do.
type keeper struct {
	mu   sync.Mutex
	kept []sekali.Event
}

func (k *keeper) ingest(_ context.Context, events []sekali.Event) ([]sekali.Result, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	results := make([]sekali.Result, len(events))
	for i := range events {
		k.kept = append(k.kept, events[i])
		results[i] = sekali.Result{Outcome: sekali.OutcomeStored, Seq: int64(len(k.kept))}
	}
	return results, nil
}

// lost counts the events that are not as they were sent.
func (k *keeper) lost(t testing.TB, sent []event) int {
	t.Helper()
	require.Len(t, k.kept, len(sent))
	lost := 0
	for i, e := range k.kept {
		got := event{e.Topic, e.ID, e.Timestamp, e.Source, json.RawMessage(e.Payload)}
		if fmt.Sprint(got) != fmt.Sprint(sent[i]) {
			lost++
		}
	}
	return lost
}

func TestNothingOfARequestBufferIsRetained(t *testing.T) {
	keep := &keeper{}
	s := withScript(&scripted{ingest: keep.ingest})
	n := start(t, s)
	var sent []event
	for i := range 50 {
		batch := newEvents(fmt.Sprint("topic-", i), numbered("e", 1+i%3)...)
		if i%2 == 0 {
			n.publish(batch)
		} else {
			n.publish(map[string]any{"events": batch})
		}
		sent = append(sent, batch...)
	}
	require.Zero(t, keep.lost(t, sent))
}

// TestTheControlOfRetention plants the mistake that every test of this package
// would find: a handler that keeps a string in the memory of its request.
func TestTheControlOfRetention(t *testing.T) {
	tests := []struct {
		name  string
		piece func(ctx *fasthttp.RequestCtx) []byte
	}{
		{"the body", func(ctx *fasthttp.RequestCtx) []byte { return ctx.PostBody()[10:15] }},
		{"the path", func(ctx *fasthttp.RequestCtx) []byte { return ctx.URI().PathOriginal()[1:6] }},
		{"the target", func(ctx *fasthttp.RequestCtx) []byte { return ctx.RequestURI()[1:6] }},
		{"the query", func(ctx *fasthttp.RequestCtx) []byte { return ctx.QueryArgs().Peek("q") }},
		{"a header", func(ctx *fasthttp.RequestCtx) []byte { return ctx.Request.Header.Peek("X-Test") }},
		{"the host", func(ctx *fasthttp.RequestCtx) []byte { return ctx.Host() }},
		{"the raw headers", func(ctx *fasthttp.RequestCtx) []byte { return ctx.Request.Header.RawHeaders()[6:11] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var copied, retained string
			n := start(t, setup{wrap: func(fasthttp.RequestHandler) fasthttp.RequestHandler {
				return func(ctx *fasthttp.RequestCtx) {
					piece := tt.piece(ctx)
					copied, retained = string(piece), unsafe.String(&piece[0], len(piece))
				}
			}})
			conn, err := n.dial()
			require.NoError(t, err)
			readAll(t, conn, "POST /topic?q=topic HTTP/1.1\r\nHost: topic\r\nX-Test: topic\r\nConnection: close\r\nContent-Length: 17\r\n\r\n"+`{"topic":"topic"}`)
			require.NoError(t, conn.Close())
			require.Equal(t, "topic", copied)
			require.Equal(t, "#####", retained, "whoever kept it is found out")
		})
	}
}

func TestEventsAreStoredWholeThoughTheirBuffersAreReused(t *testing.T) {
	n := start(t, setup{})
	var sent []event
	for i := range 100 {
		e := newEvent(fmt.Sprint("topic-", i%7), fmt.Sprint("e", i))
		e.Payload = json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))
		n.publish(e)
		sent = append(sent, e)
	}
	for i, e := range n.events("") {
		require.Equal(t, sent[i], e.event)
	}
	n.restart()
	require.Len(t, n.events(""), 100)
}

// TestEventsThatTimedOutAreStoredWhole: their senders have their answer, and
// all buffers have been used again, before they are stored.
func TestEventsThatTimedOutAreStoredWhole(t *testing.T) {
	s := setup{}
	s.http.RequestTimeout = time.Millisecond
	n, store := startGated(t, s)
	sent := make(map[string]event)
	for i := range 30 {
		batch := newEvents(fmt.Sprint("topic-", i%3), numbered(fmt.Sprintf("\"%d\"-", i), 1+i%5)...) // quotes are sent escaped
		batch = append(batch, newEvents(fmt.Sprint("other-", i%4), fmt.Sprint("e", i))...)
		for j := range batch {
			batch[j].Payload = json.RawMessage(fmt.Sprintf(`{"request":%d,"event":"%s"}`, i, strings.Repeat("x", 100*j)))
			sent[batch[j].Topic+" "+batch[j].EventID] = batch[j]
		}
		refused(t, n.do("POST", "/publish", encode(t, batch)), http.StatusServiceUnavailable, "commit_timeout")
	}
	store.open()
	n.setup.http.RequestTimeout = 0 // for the readers
	n.restart()                     // waits for what is in flight
	stored := n.events("")
	require.Len(t, stored, len(sent))
	for _, e := range stored {
		require.Equal(t, sent[e.Topic+" "+e.EventID], e.event)
	}
}
