package faultstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/persistence/faultstore"
	"sekali/persistence/sqlite"
)

func open(t testing.TB, dir string) *faultstore.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() }) // closed twice where the test closed it
	return faultstore.New(store)
}

func batch(id string) sekali.Batch {
	at := time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)
	return sekali.Batch{At: at, Events: []sekali.Event{{
		Topic: "t", ID: id, Source: "s", Timestamp: "2025-10-24T10:30:00Z", Time: at, Payload: []byte(`{}`),
	}}}
}

func unique(t *testing.T, s sekali.Store) int64 {
	t.Helper()
	totals, err := s.Totals(t.Context())
	require.NoError(t, err)
	return totals.Unique
}

func TestARefusedCallLeavesTheStoreUntouchedAndTheNextSucceeds(t *testing.T) {
	s := open(t, t.TempDir())
	busy := &sekali.Error{Code: sekali.CodeStorageBusy, Message: "scripted"}
	s.At(2, faultstore.Refuse(busy))
	_, err := s.AppendBatch(t.Context(), batch("1"))
	require.NoError(t, err)
	_, err = s.AppendBatch(t.Context(), batch("2"))
	require.ErrorIs(t, err, busy)
	require.EqualValues(t, 1, unique(t, s))
	_, err = s.AppendBatch(t.Context(), batch("2"))
	require.NoError(t, err)
	require.EqualValues(t, 2, unique(t, s))
	require.Equal(t, 3, s.Calls())
}

func TestALostAckHasCommitted(t *testing.T) {
	s := open(t, t.TempDir())
	s.Next(faultstore.LoseAck(&sekali.Error{Code: sekali.CodeStorageBusy, Message: "scripted"}))
	_, err := s.AppendBatch(t.Context(), batch("1"))
	require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageBusy})
	require.EqualValues(t, 1, unique(t, s))
	again, err := s.AppendBatch(t.Context(), batch("1"))
	require.NoError(t, err)
	require.False(t, again.Decisions[0].Stored, "the retry finds the event that was stored without an answer")
}

func TestAfterStorageFailedEveryWriteIsRefused(t *testing.T) {
	s := open(t, t.TempDir())
	s.At(1, faultstore.Refuse(sekali.ErrStorageFailed))
	for range 3 {
		_, err := s.AppendBatch(t.Context(), batch("1"))
		require.ErrorIs(t, err, sekali.ErrStorageFailed)
	}
	require.Zero(t, unique(t, s), "reads go on")
}

func TestAHangingCallWaitsForItsReleaseWhateverTheContextSays(t *testing.T) {
	s := open(t, t.TempDir())
	reached, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s.At(1, faultstore.Hang(reached, release))
	go func() {
		_, err := s.AppendBatch(t.Context(), batch("1"))
		done <- err
	}()
	<-reached
	require.Zero(t, unique(t, s))
	require.Empty(t, done)
	close(release)
	require.NoError(t, <-done)
	require.EqualValues(t, 1, unique(t, s))
}

func TestAPanicReachesTheCallerBeforeTheCommit(t *testing.T) {
	s := open(t, t.TempDir())
	s.At(1, faultstore.Panic("scripted"))
	require.PanicsWithValue(t, "scripted", func() { _, _ = s.AppendBatch(t.Context(), batch("1")) })
	require.Zero(t, unique(t, s))
}
