package httpserver

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"sekali"
)

// benchEvents returns a request body with n events of about 285 bytes; one
// event stands alone, more are an array.
func benchEvents(n, topics int) []byte {
	var body []byte
	for i := range n {
		body = fmt.Appendf(body, `,{"topic":"orders.%02d","event_id":"0123456789abcdef%016x","timestamp":"2025-10-24T10:30:%02d.%03dZ","source":"order-service",`+
			`"payload":{"order_id":%d,"customer":"c-%06d","amount":129.95,"currency":"EUR","items":[{"sku":"A-1","n":2},{"sku":"B-22","n":1}],"note":"please ring twice"}}`,
			i%topics, i, i%60, i%1000, i, i)
	}
	if n == 1 {
		return body[1:]
	}
	body[0] = '['
	return append(body, ']')
}

// reportPerEvent adds the figures of one event to those of one request.
func reportPerEvent(b *testing.B, events int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(events), "ns/event")
}

func BenchmarkParseEvents(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			body := benchEvents(n, 1)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				batch, err := parseEvents(body, 10_000)
				if err != nil || len(batch.events) != n {
					b.Fatal(err, len(batch.events))
				}
			}
			reportPerEvent(b, n)
		})
	}
}

func BenchmarkParseTimestamp(b *testing.B) {
	for _, s := range []string{"2025-10-24T10:30:00Z", "2025-10-24T10:30:00.123456Z", "2025-10-24 12:30+02:00"} {
		b.Run("form="+s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, why := parseTimestamp(s); why != "" {
					b.Fatal(why)
				}
			}
		})
	}
}

func BenchmarkIngestAnswer(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			s := New(nil, Options{})
			results := make([]sekali.Result, n)
			for i := range results {
				results[i] = sekali.Result{Outcome: sekali.OutcomeStored, Seq: int64(1_000_000 + i)}
			}
			batch := &parsedBatch{total: n}
			var ctx fasthttp.RequestCtx
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				s.writeIngestAnswer(&ctx, batch, results, preferences{}, 0)
			}
			reportPerEvent(b, n)
		})
	}
}

func BenchmarkRequestID(b *testing.B) {
	ids := newRequestIDs()
	var ctx fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		ids.assign(&ctx)
	}
}

func BenchmarkDispatch(b *testing.B) {
	s := New(nil, Options{})
	for i := range s.routes {
		s.routes[i].handler = func(*Server, *fasthttp.RequestCtx, []string) error { return nil }
	}
	for _, path := range []string{"/publish", "/topics/orders/events/e-1"} {
		b.Run("path="+path, func(b *testing.B) {
			var ctx fasthttp.RequestCtx
			ctx.Request.Header.SetMethod("POST")
			if path != "/publish" {
				ctx.Request.Header.SetMethod("GET")
			}
			ctx.Request.SetRequestURI(path)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.dispatch(&ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTimestampDate is what package time takes for the same work.
func BenchmarkTimestampDate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := time.Parse(time.RFC3339Nano, "2025-10-24T10:30:00.123456Z"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBenchmarkEventsAreOfTheSizeThatIsNamed(t *testing.T) {
	batch, err := parseEvents(benchEvents(100, 10), 100)
	require.NoError(t, err)
	require.Empty(t, batch.faults)
	require.InDelta(t, 285, len(bytes.TrimSpace(benchEvents(100, 10)))/100, 10)
}
