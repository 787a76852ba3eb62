package client_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/client"
)

// received is a body as it came, and what it says.
type received struct {
	coding, wire string
	events       []wireEvent
}

func receive(t testing.TB, r *http.Request) received {
	t.Helper()
	wire, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	got := received{coding: r.Header.Get("Content-Encoding"), wire: string(wire)}
	var plain io.Reader = strings.NewReader(got.wire)
	if got.coding == "gzip" {
		plain, err = gzip.NewReader(plain)
		require.NoError(t, err)
	}
	require.NoError(t, json.NewDecoder(plain).Decode(&got.events))
	return got
}

func TestBodiesAreCompressedWhenAskedFor(t *testing.T) {
	var got []received
	c := newServer(t, client.Options{Compress: true}, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, receive(t, r))
		if len(got) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		write(t, w, http.StatusOK, storedAnswer(len(got[0].events), 1))
	})
	_, err := c.Publish(t.Context(), events(100))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "gzip", got[0].coding)
	require.Equal(t, got[0], got[1], "a retry sends the same")
	require.Len(t, got[0].events, 100)
	require.Equal(t, "order-099", got[0].events[99].EventID)
	require.Less(t, len(got[0].wire), 2000)
}

func TestBodiesThatWouldNotShrinkGoPlain(t *testing.T) {
	var coding []string
	handler := func(w http.ResponseWriter, r *http.Request) {
		coding = append(coding, receive(t, r).coding)
		write(t, w, http.StatusOK, storedAnswer(1, 1))
	}
	small := newServer(t, client.Options{Compress: true}, handler)
	_, err := small.Publish(t.Context(), events(1))
	require.NoError(t, err)
	plain := newServer(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		coding = append(coding, receive(t, r).coding)
		write(t, w, http.StatusOK, storedAnswer(100, 1))
	})
	_, err = plain.Publish(t.Context(), events(100))
	require.NoError(t, err)
	require.Equal(t, []string{"", ""}, coding)
}

func TestABatcherCompresses(t *testing.T) {
	codings := make(chan string, 10)
	c := newServer(t, client.Options{Compress: true}, func(w http.ResponseWriter, r *http.Request) {
		got := receive(t, r)
		codings <- got.coding
		write(t, w, http.StatusOK, storedAnswer(len(got.events), 1))
	})
	b := c.NewBatcher(client.BatcherOptions{})
	large := event("1")
	large.Payload = []byte(`{"text":"` + strings.Repeat("x", 2000) + `"}`)
	_, err := b.Publish(t.Context(), large)
	require.NoError(t, err)
	require.Equal(t, "gzip", <-codings)
	require.NoError(t, b.Close(t.Context()))
}
