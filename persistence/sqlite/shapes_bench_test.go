package sqlite_test

import (
	"database/sql"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkInsertShapes inserts 5,000 rows a transaction, some of them at a
// time, into a table like that of the events.
func BenchmarkInsertShapes(b *testing.B) {
	const rows, columns = 5000, 10
	for _, shape := range []int{1, 5, 10, 25, 50, 100} {
		b.Run("rows="+strconv.Itoa(shape), func(b *testing.B) {
			db, err := sql.Open("sqlite", "file:"+b.TempDir()+"/x.db?_txlock=immediate&_journal_mode=WAL&_synchronous=FULL&_pragma=wal_autocheckpoint(3000)&_pragma=cache_size(-16384)")
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, db.Close()) })
			db.SetMaxOpenConns(1)
			_, err = db.ExecContext(b.Context(), `create table events (seq integer primary key, topic_id integer not null, event_id text not null, source text not null,
				timestamp text not null, event_time integer not null, processed_at integer not null, batch integer not null, checksum integer not null, payload blob not null) strict`)
			require.NoError(b, err)
			row := ", (" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
			insert, err := db.PrepareContext(b.Context(), "insert into events values "+strings.Repeat(row, shape)[2:])
			require.NoError(b, err)
			seq, args := int64(0), make([]any, 0, shape*columns)
			for b.Loop() {
				tx, err := db.BeginTx(b.Context(), nil)
				require.NoError(b, err)
				for range rows / shape {
					args = args[:0]
					for range shape {
						seq++
						args = append(args, seq, seq%10, "c0ffee00c0ffee00c0ffee00"+strconv.FormatInt(1e7+seq, 10), "service-a", "2025-10-24T10:30:00.000Z", seq, seq, seq/rows, -seq, benchPayload)
					}
					_, err := tx.Stmt(insert).ExecContext(b.Context(), args...)
					require.NoError(b, err)
				}
				require.NoError(b, tx.Commit())
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
