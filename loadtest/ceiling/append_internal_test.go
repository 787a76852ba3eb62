package ceiling

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheRawAppendWritesEveryRowWithTheServersSettings(t *testing.T) {
	a, err := openAppender(t.Context(), filepath.Join(t.TempDir(), "raw.db"), statementRows)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.db.Close()) }()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "0", "cache_size": "-65536"} {
		var got string
		require.NoError(t, a.db.QueryRow("pragma "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}

	var rows, ids, idBytes, payloadBytes, frames, moved, busy int64
	for moved == 0 {
		require.NoError(t, a.commit(t.Context(), transactionRows))
		require.NoError(t, a.db.QueryRow("pragma wal_checkpoint(noop)").Scan(&busy, &frames, &moved))
		require.Less(t, frames-moved, int64(checkpointFrames), "a WAL of this size is checkpointed")
	}
	require.NoError(t, a.commit(t.Context(), statementRows+7))
	query := "select count(*), count(distinct event_id), min(length(event_id)), min(length(payload)) from events"
	require.NoError(t, a.db.QueryRow(query).Scan(&rows, &ids, &idBytes, &payloadBytes))
	require.Equal(t, a.seq, rows)
	require.Equal(t, rows, ids)
	require.EqualValues(t, 32, idBytes)
	require.EqualValues(t, 150, payloadBytes)
}
