package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

func benchEvents(n int) []sekali.Event {
	events := make([]sekali.Event, n)
	for i := range events {
		events[i] = sekali.Event{
			Topic: "orders", ID: fmt.Sprintf("%032x", i), Source: "order-service", Timestamp: "2025-10-24T10:30:00.000Z", Time: time.Unix(1761301800, 0),
			Payload: []byte(`{"order_id":1234567,"customer":"c-123456","amount":129.95,"currency":"EUR","items":[{"sku":"A-1","n":2},{"sku":"B-22","n":1}],"note":"please ring twice"}`),
		}
	}
	return events
}

func BenchmarkAppendEvent(b *testing.B) {
	events := benchEvents(100)
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = buffer[:0]
		for i := range events {
			var err error
			if buffer, err = client.AppendEvent(buffer, &events[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.SetBytes(int64(len(buffer)))
}

// cannedAnswer is a transport that answers every request alike, so that a
// benchmark sees the client alone.
type cannedAnswer string

func (a cannedAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}

// BenchmarkPublish encodes a batch of 100 events and decodes its answer.
func BenchmarkPublish(b *testing.B) {
	events := benchEvents(100)
	results := strings.Repeat(`,{"outcome":"stored","seq":1000000}`, len(events))
	answer := fmt.Sprintf(`{"status":"ok","accepted":%d,"stored":%d,"duplicates":0,"results":[%s]}`, len(events), len(events), results[1:])
	c, err := client.New("http://127.0.0.1:8080", client.Options{HTTPClient: &http.Client{Transport: cannedAnswer(answer)}})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Publish(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
}
