package contender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sekali/client"
	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

func sekaliKinds() []Kind {
	return []Kind{{
		Name: "sekali", Family: "sekali", Label: "Sekali",
		Connections: 16, RequestEvents: 100,
		Settings: []string{"default settings", "HTTP/1.1, JSON arrays of 100 events", "every answer lists the outcome and the seq of every event"},
		start:    func(e Environment, k Kind) Peer { return &sekali{binary: e.Sekali, kind: k} },
	}}
}

// sekali is this project's server, seen as any client sees it.
type sekali struct {
	*child

	binary  string
	kind    Kind
	address string
	reader  *client.Client
}

// Start starts it with its default settings.
func (s *sekali) Start(ctx context.Context, dir string) (err error) {
	if s.address, err = freeAddress(); err != nil {
		return err
	}
	if s.reader, err = client.New("http://"+s.address, client.Options{}); err != nil {
		return err
	}
	s.child, err = startChild(nil, dir, s.binary, "serve", "--listen", s.address, "--data-dir", filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	return s.awaitReady(ctx, s.reader.Ready)
}

// Version asks the binary.
func (s *sekali) Version(ctx context.Context) (string, error) {
	return firstLine(ctx, s.binary, "version")
}

// Process is the server.
func (s *sekali) Process() int { return s.pid() }

// Load posts batches over connections that are kept open.
func (s *sekali) Load(ctx context.Context, feed *Feed, recorder *measure.Recorder) error {
	senders := make([]send, s.kind.Connections)
	for i := range senders {
		p := newPoster(s.address)
		defer p.close()
		senders[i] = p.post
	}
	return drive(ctx, feed, recorder, senders)
}

// Crash is kill -9.
func (s *sekali) Crash() error { return s.crash() }

// Stop is SIGTERM.
func (s *sekali) Stop() error { return s.stop(syscall.SIGTERM) }

// Count is the number of unique events of its statistics.
func (s *sekali) Count(ctx context.Context) (int64, error) {
	stats, err := s.reader.Stats(ctx)
	return stats.UniqueProcessed, err
}

// Each reads page by page.
func (s *sekali) Each(ctx context.Context, visit func(events.Event) error) error {
	for e, err := range s.reader.Events(ctx, client.Query{}) {
		if err == nil {
			err = visit(events.Event{Topic: e.Topic, ID: e.ID, Source: e.Source, Timestamp: e.Timestamp, Payload: string(e.Payload)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// poster is one connection to POST /publish. It uses its memory again.
type poster struct {
	client   fasthttp.HostClient
	request  *fasthttp.Request
	response *fasthttp.Response
}

const postTimeout = time.Minute

func newPoster(address string) *poster {
	p := &poster{
		client:   fasthttp.HostClient{Addr: address, MaxConns: 1, ReadBufferSize: 16 << 10, WriteBufferSize: 64 << 10},
		request:  fasthttp.AcquireRequest(),
		response: fasthttp.AcquireResponse(),
	}
	p.request.Header.SetMethod(fasthttp.MethodPost)
	p.request.Header.SetContentType("application/json")
	p.request.SetRequestURI("http://" + address + "/publish")
	return p
}

func (p *poster) close() { p.client.CloseIdleConnections() }

// post sends a batch once; any answer but 200 is an error.
func (p *poster) post(_ context.Context, b *events.Batch) (stored, duplicates int, err error) {
	p.request.SetBodyRaw(b.JSON)
	if err := p.client.DoTimeout(p.request, p.response, postTimeout); err != nil {
		return 0, 0, err
	}
	body := p.response.Body()
	if p.response.StatusCode() != fasthttp.StatusOK {
		return 0, 0, fmt.Errorf("answer %d: %s", p.response.StatusCode(), body)
	}
	return readAnswer(body, len(b.Events))
}

// readAnswer takes the counts from an answer and compares them with the
// outcomes that it lists, without decoding all of it: the client shares the
// cores with the server.
func readAnswer(body []byte, sent int) (stored, duplicates int, err error) {
	stored, err = readCount(body, `"stored":`)
	if err == nil {
		duplicates, err = readCount(body, `"duplicates":`)
	}
	listedStored := bytes.Count(body, []byte(`"outcome":"stored"`))
	listedDuplicates := bytes.Count(body, []byte(`"outcome":"duplicate"`))
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("%w: %s", err, body)
	case stored+duplicates != sent || stored != listedStored || duplicates != listedDuplicates:
		return 0, 0, fmt.Errorf("the outcomes do not add up to %d events: %s", sent, body)
	case bytes.Contains(body, []byte(`"conflict":true`)):
		return 0, 0, fmt.Errorf("it calls an equal repeat a conflict: %s", body)
	}
	return stored, duplicates, nil
}

func readCount(body []byte, name string) (int, error) {
	_, rest, found := bytes.Cut(body, []byte(name))
	end := bytes.IndexAny(rest, ",}")
	if !found || end < 0 {
		return 0, errors.New("no " + name + " in the answer")
	}
	return strconv.Atoi(string(rest[:end]))
}
