package actors

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"sekali"
)

// freeStore takes every event as new, at no cost, so that a benchmark sees the
// engine alone.
type freeStore struct {
	sekali.Store
	seq atomic.Int64
}

func (s *freeStore) AppendBatch(_ context.Context, b sekali.Batch) (sekali.Appended, error) {
	decisions := make([]sekali.Decision, len(b.Events))
	for i := range decisions {
		decisions[i] = sekali.Decision{Stored: true, Seq: s.seq.Add(1)}
	}
	return sekali.Appended{Decisions: decisions}, nil
}

func (s *freeStore) Ready() error { return nil }

func (s *freeStore) Totals(context.Context) (sekali.Totals, error) { return sekali.Totals{}, nil }

func (s *freeStore) Topics(context.Context, sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	return nil, nil
}

// idSource makes ids of 32 characters that no call has made before.
type idSource struct{ last atomic.Uint64 }

// take returns the ids of n events, in one piece of memory.
func (s *idSource) take(n int) (ids string) {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, n*idBytes)
	for first := s.last.Add(uint64(n)) - uint64(n); n > 0; n-- {
		text = append(text, "0123456789abcdef"...)
		for shift := 60; shift >= 0; shift -= 4 {
			text = append(text, digits[first>>shift&15])
		}
		first++
	}
	return string(text)
}

const idBytes = 32

var benchPayload = []byte(`{"order_id":1234567,"customer":"c-123456","amount":129.95,"currency":"EUR","note":"please ring twice at the second door"}`)

var topicNames = func() (names [128]string) {
	for i := range names {
		names[i] = fmt.Sprintf("orders.%03d", i)
	}
	return names
}()

// fill makes the events of one request, over the topics in turn.
func (s *idSource) fill(events []sekali.Event, topics int) {
	ids := s.take(len(events))
	for i := range events {
		events[i] = sekali.Event{
			Topic: topicNames[i%topics], ID: ids[i*idBytes : (i+1)*idBytes], Source: "order-service",
			Timestamp: "2025-10-24T10:30:00Z", Time: time.Unix(1761301800, 0).UTC(), Payload: benchPayload,
		}
	}
}

// events makes a request of its own.
func (s *idSource) events(n, topics int) []sekali.Event {
	events := make([]sekali.Event, n)
	s.fill(events, topics)
	return events
}

func BenchmarkSplit(b *testing.B) {
	for _, topics := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("events=100/topics=%d", topics), func(b *testing.B) {
			events := new(idSource).events(100, topics)
			b.ReportAllocs()
			for b.Loop() {
				if r := newIngestRequest(events); len(r.parts) != topics {
					b.Fatal(len(r.parts))
				}
			}
		})
	}
}

// BenchmarkAdmission admits a request and gives its parts back.
func BenchmarkAdmission(b *testing.B) {
	for _, topics := range []int{1, 10} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			a := newAdmission(Options{}.withDefaults())
			parts := newIngestRequest(new(idSource).events(100, topics)).parts
			b.ReportAllocs()
			for b.Loop() {
				if err := a.admit(parts); err != nil {
					b.Fatal(err)
				}
				for i := range parts {
					a.release(&parts[i])
				}
			}
		})
	}
}

// decideAll runs the core's batches until nothing is undecided.
func decideAll(c *core, seq *int64, decisions []sekali.Decision) {
	for events, _ := c.takeBatch(); events != nil; events, _ = c.takeBatch() {
		for i := range events {
			*seq++
			decisions[i] = sekali.Decision{Stored: true, Seq: *seq}
		}
		c.committed(decisions[:len(events)], time.Time{})
	}
	c.takeEffects()
}

// BenchmarkCore takes in requests of 100 events and decides them: new ids, and
// repeats that memory knows.
func BenchmarkCore(b *testing.B) {
	const n = 100
	decisions := make([]sekali.Decision, maxBatchEvents)
	run := func(name string, ids func(c *core, events []sekali.Event)) {
		b.Run(name, func(b *testing.B) {
			c, seq := newCore(&seenBudget{limit: 131_072}), int64(0)
			events := new(idSource).events(n, 1)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				ids(c, events)
				p := newPart(events...)
				b.StartTimer()
				c.offer(p, time.Time{})
				decideAll(c, &seq, decisions)
			}
		})
	}
	var source idSource
	run("new", func(_ *core, events []sekali.Event) { source.fill(events, 1) })
	run("duplicates", func(*core, []sekali.Event) {})
}

// BenchmarkCommit merges what the topics have handed in into a transaction and
// tells them its fate, 2,000 events in all.
func BenchmarkCommit(b *testing.B) {
	const events = 2000
	for _, topics := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			c := newCommitter(new(freeStore), slog.New(slog.DiscardHandler), nil, func(*actor.PID, any) {})
			batches := make([]*topicBatch, topics)
			for i := range batches {
				batches[i] = &topicBatch{}
				own := new(idSource).events(events/topics, 1)
				for j := range own {
					batches[i].events = append(batches[i].events, &own[j])
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, batch := range batches {
					c.submit(batch)
				}
				next, _ := c.next()
				c.commitBatch(next)
			}
		})
	}
}

// BenchmarkIngest runs the whole engine on a free store, from as many callers
// as keep it busy: requests of 100 events over one topic or all, and single
// events.
func BenchmarkIngest(b *testing.B) {
	for _, batch := range []int{1, 100} {
		for _, topics := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("events=%d/topics=%d", batch, topics), func(b *testing.B) { benchIngest(b, batch, topics) })
		}
	}
}

func benchIngest(b *testing.B, batch, topics int) {
	s, err := New(b.Context(), new(freeStore), Options{})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close(context.Background())) }()
	var ids idSource
	var callers atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		turn := int(callers.Add(1))
		for pb.Next() {
			events := ids.events(batch, 1)
			for i := range events {
				turn++
				events[i].Topic = topicNames[turn%topics]
			}
			if _, err := s.Ingest(context.Background(), events); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(batch), "ns/event")
}
