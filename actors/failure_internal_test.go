package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/persistence/faultstore"
	"sekali/persistence/sqlite"
)

func TestSystemAnswersEveryoneWhenACommitFails(t *testing.T) {
	full := &sekali.Error{Code: sekali.CodeStorageFull, Message: "full", RetryAfter: time.Second}
	var fail atomic.Bool
	fail.Store(true)
	s, _ := startSystem(t, Options{}, func(sekali.Batch) error {
		if fail.Load() {
			return full
		}
		return nil
	})
	_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a"), eventOf("u", "b")})
	require.ErrorIs(t, err, full)
	require.NoError(t, s.Ready(), "a full disk may pass")
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Received(), "what failed is not counted")
	fail.Store(false)
	results, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
	require.NoError(t, err)
	require.Equal(t, sekali.OutcomeStored, results[0].Outcome)
}

func TestSystemStopsAcknowledgingWhenTheStorageFails(t *testing.T) {
	for name, appending := range map[string]func(sekali.Batch) error{
		"with its own error": func(sekali.Batch) error { return sekali.ErrStorageFailed },
		"with any other":     func(sekali.Batch) error { return errors.New("disk on fire") },
		"by a panic":         func(sekali.Batch) error { panic("store is broken") },
	} {
		t.Run(name, func(t *testing.T) {
			s, store := startSystem(t, Options{}, nil)
			_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "known")})
			require.NoError(t, err)
			store.appending = appending
			_, err = s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
			require.ErrorIs(t, err, sekali.ErrStorageFailed)
			<-s.Failed()
			require.ErrorIs(t, s.Ready(), sekali.ErrStorageFailed)
			_, err = s.Ingest(t.Context(), []sekali.Event{eventOf("t", "known")})
			require.ErrorIs(t, err, sekali.ErrStorageFailed, "nor is what memory would know acknowledged")
			store.appending = nil
			calls := store.batches.Load()
			_, err = s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
			require.ErrorIs(t, err, sekali.ErrStorageFailed, "a store that failed once is not asked again")
			require.Equal(t, calls, store.batches.Load())
		})
	}
}

// TestALostAcknowledgementIsFoundByTheRetry has the commit succeed and its
// answer get lost: the sender is told to retry, and the retry is a duplicate.
func TestALostAcknowledgementIsFoundByTheRetry(t *testing.T) {
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	require.NoError(t, err)
	store := faultstore.New(db)
	s, err := New(t.Context(), store, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(s.Close(context.Background()), db.Close())) })

	store.Next(faultstore.LoseAck(&sekali.Error{Code: sekali.CodeStorageBusy, Message: "lost"}))
	_, err = s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
	require.Equal(t, sekali.CodeStorageBusy, sekali.CodeOf(err))
	results, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
	require.NoError(t, err)
	require.Equal(t, []sekali.Result{{Outcome: sekali.OutcomeDuplicate, Seq: 1}}, results)
	totals, err := db.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, totals.Unique, "it is stored and counted once")
}

func TestDuplicateCountsSurviveAFailedCommit(t *testing.T) {
	var failing atomic.Bool
	busy := &sekali.Error{Code: sekali.CodeStorageBusy, Message: "busy"}
	s, store := startSystem(t, Options{}, func(sekali.Batch) error {
		if failing.Load() {
			return busy
		}
		return nil
	})
	_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
	require.NoError(t, err)
	failing.Store(true)
	for range 4 {
		_, err = s.Ingest(t.Context(), []sekali.Event{eventOf("t", "a")})
		require.NoError(t, err, "memory knows the id, the store is not needed")
	}
	_, err = s.Topics(t.Context(), sekali.TopicsQuery{Limit: 1})
	require.NoError(t, err, "reading goes on while nothing can be written")
	failing.Store(false)
	require.Eventually(t, func() bool {
		totals, err := store.Totals(t.Context())
		return err == nil && totals.Duplicates == 4
	}, 10*time.Second, 5*time.Millisecond)
}

func TestFailuresAreLoggedOnceASecond(t *testing.T) {
	var l logThrottle
	start := time.Unix(1000, 0)
	said := 0
	for i := range 100 {
		if _, say := l.note(start.Add(time.Duration(i) * 10 * time.Millisecond)); say {
			said++
		}
	}
	require.Equal(t, 1, said)
	count, say := l.note(start.Add(time.Second))
	require.True(t, say)
	require.Equal(t, 100, count)
}
