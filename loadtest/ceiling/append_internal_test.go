package ceiling

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheRawAppendWritesEveryRowWithTheServersSettings(t *testing.T) {
	a, err := openAppender(t.Context(), filepath.Join(t.TempDir(), "raw.db"), statementRows)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.close()) }()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "0", "cache_size": "-16384"} {
		var got string
		require.NoError(t, a.db.QueryRow("pragma "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}

	var rows, ids, idBytes, payload int64
	require.EqualValues(t, 2<<20/(4096+24), a.moveAt)
	require.EqualValues(t, 64<<20/(4096+24), a.renewAt)
	a.moveAt, a.renewAt = 1<<30, 100
	for !a.renewing {
		wal, err := checkpoint(t.Context(), a.db, "noop")
		require.NoError(t, err)
		require.Less(t, wal.size, a.renewAt, "a WAL of this size is begun anew")
		require.NoError(t, a.commit(t.Context(), 500))
	}
	a.moved <- <-a.moved // has ended now
	require.NoError(t, a.commit(t.Context(), 500))
	wal, err := checkpoint(t.Context(), a.db, "noop")
	require.NoError(t, err)
	require.Zero(t, wal.left, "the rest was moved between two commits")
	require.NoError(t, a.commit(t.Context(), statementRows+7))
	query := "select count(*), count(distinct event_id), min(length(event_id)), min(length(payload)) from events"
	require.NoError(t, a.db.QueryRow(query).Scan(&rows, &ids, &idBytes, &payload))
	require.Equal(t, a.seq, rows)
	require.Equal(t, rows, ids)
	require.EqualValues(t, 32, idBytes)
	require.EqualValues(t, payloadBytes, payload)
}
