package sqlite_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/persistence/sqlite"
)

var benchPayload = []byte(`{"user_id":"12345678","action":"click","value":42.5,"tags":["a","b","c"],"meta":{"ip":"10.0.0.1","ua":"Mozilla/5.0 (X11; Linux x86_64)"}}`)

// benchEvents returns n events of about 260 bytes with random ids.
func benchEvents(rng *rand.ChaCha8, n, topics int) []sekali.Event {
	at := time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)
	events := make([]sekali.Event, n)
	for i := range events {
		id := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, rng.Uint64()), rng.Uint64())
		events[i] = sekali.Event{
			Topic: "topic-" + strconv.Itoa(int(rng.Uint64()%uint64(topics))), ID: hex.EncodeToString(id), Source: "service-a",
			Timestamp: "2025-10-24T10:30:00.000Z", Time: at, Payload: benchPayload,
		}
	}
	return events
}

func benchStore(b *testing.B) *sqlite.Store {
	s, err := sqlite.Open(b.Context(), b.TempDir(), sqlite.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// BenchmarkAppendBatch stores batches of new events, or of repeats of any.
func BenchmarkAppendBatch(b *testing.B) {
	for _, c := range []struct{ events, topics int }{{1, 10}, {100, 10}, {1000, 10}, {1000, 1000}, {5000, 10}, {5000, 5000}} {
		b.Run(fmt.Sprintf("new/events=%d/topics=%d", c.events, c.topics), func(b *testing.B) {
			s, rng := benchStore(b), rand.NewChaCha8([32]byte{1})
			var times []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batch := sekali.Batch{Events: benchEvents(rng, c.events, c.topics), At: time.Now()}
				b.StartTimer()
				start := time.Now()
				_, err := s.AppendBatch(b.Context(), batch)
				times = append(times, time.Since(start))
				require.NoError(b, err)
			}
			report(b, times, c.events)
		})
	}
	b.Run("repeats/events=5000", func(b *testing.B) {
		s, rng := benchStore(b), rand.NewChaCha8([32]byte{1})
		var known []sekali.Event
		for range 60 {
			known = append(known, benchEvents(rng, 5000, 10)...)
			_, err := s.AppendBatch(b.Context(), sekali.Batch{Events: known[len(known)-5000:], At: time.Now()})
			require.NoError(b, err)
		}
		var times []time.Duration
		for b.Loop() {
			batch := sekali.Batch{At: time.Now()}
			for range 5000 {
				batch.Events = append(batch.Events, known[rng.Uint64()%uint64(len(known))])
			}
			start := time.Now()
			appended, err := s.AppendBatch(b.Context(), batch)
			times = append(times, time.Since(start))
			require.NoError(b, err)
			require.False(b, appended.Decisions[0].Stored)
		}
		report(b, times, 5000)
	})
}

// BenchmarkCountDuplicates writes tallies of random events, 500 a transaction.
func BenchmarkCountDuplicates(b *testing.B) {
	s, rng := benchStore(b), rand.NewChaCha8([32]byte{1})
	var times []time.Duration
	for b.Loop() {
		batch := sekali.Batch{At: time.Now()}
		for range 500 {
			batch.Duplicates = append(batch.Duplicates, sekali.DuplicateTally{Topic: "t", Seq: 1 + int64(rng.Uint64()%(1<<40)), Count: 1, LastAt: batch.At})
		}
		start := time.Now()
		_, err := s.AppendBatch(b.Context(), batch)
		times = append(times, time.Since(start))
		require.NoError(b, err)
	}
	report(b, times, 500)
}

// BenchmarkRead reads pages of 100 events and single ones out of 500,000.
func BenchmarkRead(b *testing.B) {
	s, rng := benchStore(b), rand.NewChaCha8([32]byte{1})
	var ids []sekali.Event
	for range 100 {
		events := benchEvents(rng, 5000, 10)
		ids = append(ids, events[0])
		_, err := s.AppendBatch(b.Context(), sekali.Batch{Events: events, At: time.Now()})
		require.NoError(b, err)
	}
	for name, topic := range map[string]string{"page": "", "page of a topic": "topic-3"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := s.Events(b.Context(), sekali.EventsQuery{Topic: topic, After: int64(rng.Uint64() % 400_000), Limit: 100})
				require.NoError(b, err)
				require.Len(b, page.Events, 100)
			}
		})
	}
	b.Run("event by id", func(b *testing.B) {
		for b.Loop() {
			e := &ids[rng.Uint64()%uint64(len(ids))]
			_, err := s.Event(b.Context(), e.Topic, e.ID)
			require.NoError(b, err)
		}
	})
}

func report(b *testing.B, times []time.Duration, events int) {
	slices.Sort(times)
	total := time.Duration(0)
	for _, t := range times {
		total += t
	}
	b.ReportMetric(float64(len(times)*events)/total.Seconds(), "events/s")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "max-ms")
}
