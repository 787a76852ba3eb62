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

// scribble overwrites the buffers of a request when its handler has returned:
// what fasthttp does sooner or later, done at once.
func scribble(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		next(ctx)
		for _, buffer := range [][]byte{ctx.PostBody(), ctx.URI().FullURI(), ctx.URI().PathOriginal(), ctx.QueryArgs().QueryString(), ctx.Request.Header.RawHeaders()} {
			for i := range buffer {
				buffer[i] = '#'
			}
		}
	}
}

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
	s.wrap = scribble
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

// TestTheControlOfRetention plants the mistake that the test above looks for:
// an event whose topic lies in the body.
func TestTheControlOfRetention(t *testing.T) {
	keep := &keeper{}
	s := setup{wrap: func(fasthttp.RequestHandler) fasthttp.RequestHandler {
		return scribble(func(ctx *fasthttp.RequestCtx) {
			body := ctx.PostBody()
			var e event
			if err := json.Unmarshal(body, &e); err != nil {
				t.Errorf("decode: %v", err)
			}
			const topicAt = len(`{"topic":"`)
			_, _ = keep.ingest(ctx, []sekali.Event{{ // it returns no error
				Topic: unsafe.String(&body[topicAt], len(e.Topic)), ID: e.EventID,
				Timestamp: e.Timestamp, Source: e.Source, Payload: e.Payload,
			}})
		})
	}}
	n := start(t, s)
	sent := newEvent("topic", "1")
	conn, err := n.dial()
	require.NoError(t, err)
	body := encode(t, sent)
	readAll(t, conn, fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	require.NoError(t, conn.Close())
	require.Equal(t, 1, keep.lost(t, []event{sent}))
}

func TestEventsAreStoredWholeThoughTheirBuffersAreReused(t *testing.T) {
	n := start(t, setup{wrap: scribble})
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
	s := setup{wrap: scribble}
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
