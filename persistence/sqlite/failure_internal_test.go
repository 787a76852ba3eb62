package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

func TestWriteErrorsGetTheirCode(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want sekali.Code
	}{
		{"the wait for the writer ended", context.DeadlineExceeded, sekali.CodeStorageBusy},
		{"the caller gave up", context.Canceled, sekali.CodeStorageBusy},
		{"an unknown error stops the store", errors.New("input/output error"), sekali.CodeStorageFailed},
		{"a missing row is a bug, not a state", sql.ErrNoRows, sekali.CodeStorageFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := writeError(fmt.Errorf("append batch: %w", tc.err))
			require.Equal(t, tc.want, got.Code)
			require.ErrorIs(t, got, tc.err)
			require.NotContains(t, got.Message, tc.err.Error(), "the cause is for the log")
			require.Positive(t, got.RetryAfter)
		})
	}
}

// TestAfterAFailureEveryWriteIsRefused makes the commit fail with
// SQLITE_READONLY, which stands for every error after which the handle cannot
// be trusted; apptest has a real I/O error.
func TestAfterAFailureEveryWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	mustAppend(t, s, batchOf("t", 0, 5, 10))
	execWriter(t, s, "pragma query_only = 1")
	_, err := s.AppendBatch(t.Context(), batchOf("t", 5, 5, 10))
	require.ErrorIs(t, err, sekali.ErrStorageFailed)
	require.ErrorContains(t, err, "readonly")

	execWriter(t, s, "pragma query_only = 0")
	for _, b := range []sekali.Batch{batchOf("t", 5, 5, 10), {}, batchOf("t", 0, 1, 10)} {
		_, err = s.AppendBatch(t.Context(), b)
		require.ErrorIs(t, err, sekali.ErrStorageFailed, "although the cause has gone")
	}
	requireUnique(t, s, 5)
	page, err := s.Events(t.Context(), sekali.EventsQuery{Limit: 10})
	require.NoError(t, err, "reads go on")
	require.Len(t, page.Events, 5)

	require.NoError(t, s.Close())
	s = openTest(t, dir, Options{})
	require.True(t, mustAppend(t, s, batchOf("t", 5, 5, 10)).Decisions[0].Stored)
}

func TestAFullDatabaseIsSaidAndRecoveredFrom(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{watchEvery: time.Millisecond})
	mustAppend(t, s, batchOf("t", 0, 5, 10))
	execWriter(t, s, "pragma max_page_count = 40")
	for range 3 {
		_, err := s.AppendBatch(t.Context(), batchOf("new", 0, 10, mebibyte))
		require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageFull})
	}
	requireUnique(t, s, 5)
	_, err := s.Topic(t.Context(), "new")
	require.Equal(t, sekali.CodeNotFound, sekali.CodeOf(err), "nothing of the batch is left")

	execWriter(t, s, "pragma max_page_count = 4294967294")
	eventuallyReady(t, s)
	appended := mustAppend(t, s, batchOf("new", 0, 10, mebibyte))
	require.Equal(t, []string{"new"}, appended.NewTopics)
	for i, d := range appended.Decisions {
		require.Equal(t, sekali.Decision{Stored: true, Seq: int64(6 + i)}, d, "no seq was lost on the failures")
	}
	requireUnique(t, s, 15)
}

func TestAnotherProgramsWriteLockIsBusyAndPasses(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 0, 5, 10))
	withWriter(t, s, func() error { return s.setBusyTimeout(20 * time.Millisecond) })

	db, err := sql.Open("sqlite", fileURI(s.path, "_txlock=immediate"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	other, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for range 3 {
		_, err = s.AppendBatch(t.Context(), batchOf("t", 5, 5, 10))
		require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageBusy})
	}
	requireUnique(t, s, 5)
	require.NoError(t, other.Rollback())
	mustAppend(t, s, batchOf("t", 5, 5, 10))
	requireUnique(t, s, 10)
}

func TestAContextBoundsTheWaitForTheWriterOnly(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	require.NoError(t, s.takeTurn(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.AppendBatch(ctx, batchOf("t", 0, 5, 10))
	require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageBusy})
	s.endTurn()
	mustAppend(t, s, batchOf("t", 0, 5, 10))
}

func TestTheMemoryOfTopicNumbersIsBounded(t *testing.T) {
	w := &writer{topics: make(map[string]int64)}
	for i := range maxCachedTopics + 100 {
		w.rememberTopic(fmt.Sprint(i), int64(i))
		require.LessOrEqual(t, len(w.topics), maxCachedTopics)
	}
	require.Equal(t, int64(maxCachedTopics+99), w.topics[fmt.Sprint(maxCachedTopics+99)])
}
