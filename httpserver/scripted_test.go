package httpserver_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"sekali"
	"sekali/httpserver"
)

// scripted is a domain that answers as a test says, and as the real one where
// the test says nothing.
type scripted struct {
	httpserver.Domain
	ingest func(context.Context, []sekali.Event) ([]sekali.Result, error)
	events func(context.Context, sekali.EventsQuery) (sekali.EventsPage, error)
	admits func() error
	// fail, when it returns an error, is the answer of every read.
	fail func() error
}

func (s *scripted) Ingest(ctx context.Context, events []sekali.Event) ([]sekali.Result, error) {
	if s.ingest != nil {
		return s.ingest(ctx, events)
	}
	return s.Domain.Ingest(ctx, events)
}

func (s *scripted) Admits() error {
	if s.admits != nil {
		return s.admits()
	}
	return s.Domain.Admits()
}

func (s *scripted) failure() error {
	if s.fail == nil {
		return nil
	}
	return s.fail()
}

func (s *scripted) Events(ctx context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
	if err := s.failure(); err != nil {
		return sekali.EventsPage{}, err
	}
	if s.events != nil {
		return s.events(ctx, q)
	}
	return s.Domain.Events(ctx, q)
}

func (s *scripted) Event(ctx context.Context, topic, id string) (sekali.EventDetail, error) {
	if err := s.failure(); err != nil {
		return sekali.EventDetail{}, err
	}
	return s.Domain.Event(ctx, topic, id)
}

func (s *scripted) Topics(ctx context.Context, q sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	return s.Domain.Topics(ctx, q)
}

func (s *scripted) Stats(ctx context.Context) (sekali.Stats, error) {
	if err := s.failure(); err != nil {
		return sekali.Stats{}, err
	}
	return s.Domain.Stats(ctx)
}

// withScript puts a script in front of the real domain.
func withScript(s *scripted) setup {
	return setup{domain: func(real httpserver.Domain) httpserver.Domain {
		s.Domain = real
		return s
	}}
}

// gatedStore holds back every commit until the gate opens.
type gatedStore struct {
	sekali.Store
	entered chan struct{} // gets one value for each commit that arrives
	gate    chan struct{}
	once    sync.Once
}

// startGated runs a node whose commits wait for open.
func startGated(t testing.TB, s setup) (*node, *gatedStore) {
	t.Helper()
	g := &gatedStore{entered: make(chan struct{}, 1000), gate: make(chan struct{})}
	s.store = func(real sekali.Store) sekali.Store {
		g.Store = real
		return g
	}
	n := start(t, s)
	t.Cleanup(g.open) // before the node stops, which waits for its commits
	return n, g
}

func (g *gatedStore) open() { g.once.Do(func() { close(g.gate) }) }

func (g *gatedStore) AppendBatch(ctx context.Context, b sekali.Batch) (sekali.Appended, error) {
	g.entered <- struct{}{}
	<-g.gate
	return g.Store.AppendBatch(ctx, b)
}

// failingStore fails commits with the errors of a list, one after the other,
// nil standing for a commit that works; beyond the list all work.
type failingStore struct {
	sekali.Store
	mu     sync.Mutex
	errors []error
}

// startFailing runs a node whose first commits end in these errors.
func startFailing(t testing.TB, errors ...error) *node {
	t.Helper()
	return start(t, setup{store: func(real sekali.Store) sekali.Store {
		return &failingStore{Store: real, errors: errors}
	}})
}

func (f *failingStore) AppendBatch(ctx context.Context, b sekali.Batch) (sekali.Appended, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errors) > 0 {
		err := f.errors[0]
		f.errors = f.errors[1:]
		if err != nil {
			return sekali.Appended{}, fmt.Errorf("scripted: %w", err)
		}
	}
	return f.Store.AppendBatch(ctx, b)
}
