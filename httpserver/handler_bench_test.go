package httpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"sekali"
	"sekali/httpserver"
)

// freeDomain stores everything at once and at no cost, so that a benchmark
// sees the server alone.
type freeDomain struct{ httpserver.Domain }

func (freeDomain) Ingest(_ context.Context, events []sekali.Event) ([]sekali.Result, error) {
	results := make([]sekali.Result, len(events))
	for i := range results {
		results[i] = sekali.Result{Outcome: sekali.OutcomeStored, Seq: int64(1_000_000 + i)}
	}
	return results, nil
}

func (freeDomain) Ready() error  { return nil }
func (freeDomain) Admits() error { return nil }

// fullDomain takes nothing.
type fullDomain struct{ httpserver.Domain }

func (fullDomain) Admits() error {
	return &sekali.Error{Code: sekali.CodeOverloaded, RetryAfter: time.Second, Message: "the server has its limit of 100000 events in flight"}
}

// benchServer serves a domain in memory and returns how to connect.
func benchServer(b *testing.B, domain httpserver.Domain) (dial func() (net.Conn, error)) {
	b.Helper()
	server := httpserver.New(domain, httpserver.Options{})
	memory := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- server.Serve(memory) }()
	b.Cleanup(func() {
		require.NoError(b, server.Shutdown(context.Background()))
		require.NoError(b, <-served)
	})
	return memory.Dial
}

func benchRequest(n int) []byte {
	body := fmt.Appendf(nil, `{"topic":"orders","event_id":"0123456789abcdef0123456789abcdef","timestamp":"2025-10-24T10:30:00.000Z","source":"order-service",`+
		`"payload":{"order_id":1234567,"customer":"c-123456","amount":129.95,"currency":"EUR","items":[{"sku":"A-1","n":2},{"sku":"B-22","n":1}],"note":"please ring twice"}}`)
	if n > 1 {
		batch := []byte{'['}
		for i := range n {
			if i > 0 {
				batch = append(batch, ',')
			}
			batch = append(batch, body...)
		}
		body = append(batch, ']')
	}
	return fmt.Appendf(nil, "POST /publish HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// roundTrip sends one request and reads its answer.
func roundTrip(conn net.Conn, in *bufio.Reader, request []byte, answer *fasthttp.Response, status int) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	answer.Reset()
	if err := answer.Read(in); err != nil {
		return err
	}
	if answer.StatusCode() != status {
		return fmt.Errorf("status %d: %s", answer.StatusCode(), answer.Body())
	}
	return nil
}

// BenchmarkServer sends requests over one connection in memory to the whole
// server: fasthttp, the body, the route, the parser and the answer. The
// reading of the answer is in the figures and allocates nothing.
func BenchmarkServer(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			conn, err := benchServer(b, freeDomain{})()
			require.NoError(b, err)
			defer func() { require.NoError(b, conn.Close()) }()
			in := bufio.NewReaderSize(conn, 64<<10)
			request := benchRequest(n)
			var answer fasthttp.Response
			b.SetBytes(int64(len(request)))
			b.ReportAllocs()
			for b.Loop() {
				if err := roundTrip(conn, in, request, &answer, fasthttp.StatusOK); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefusal sends batches to a server that can take nothing.
func BenchmarkRefusal(b *testing.B) {
	conn, err := benchServer(b, fullDomain{})()
	require.NoError(b, err)
	defer func() { require.NoError(b, conn.Close()) }()
	in := bufio.NewReader(conn)
	request := benchRequest(100)
	var answer fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		if err := roundTrip(conn, in, request, &answer, fasthttp.StatusServiceUnavailable); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServerConnections sends single events over 64 connections at once.
func BenchmarkServerConnections(b *testing.B) {
	dial := benchServer(b, freeDomain{})
	request := benchRequest(1)
	const connections = 64
	turns := make(chan struct{}, connections)
	var wg sync.WaitGroup
	for range connections {
		conn, err := dial()
		require.NoError(b, err)
		wg.Go(func() {
			in := bufio.NewReader(conn)
			var answer fasthttp.Response
			for range turns {
				if err := roundTrip(conn, in, request, &answer, fasthttp.StatusOK); err != nil {
					b.Error(err)
				}
			}
			if err := conn.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	wg.Wait()
}
