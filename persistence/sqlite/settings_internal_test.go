package sqlite

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

func pragma(t testing.TB, db *sql.DB, name string) string {
	t.Helper()
	var value string
	require.NoError(t, db.QueryRowContext(t.Context(), "pragma "+name).Scan(&value))
	return value
}

func TestTheWriterHasTheSettingsOfThePromise(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	for name, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000", "wal_autocheckpoint": "0",
		"journal_size_limit": "134217728", "cache_size": "-16384", "cell_size_check": "1", "trusted_schema": "0",
		"application_id": "1399549033", "user_version": "2", "temp_store": "2",
	} {
		require.Equal(t, want, pragma(t, s.writer.db, name), name)
	}
	require.Equal(t, 1, s.writer.db.Stats().MaxOpenConnections)
}

func TestReadersCannotWrite(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	require.Equal(t, "1", pragma(t, s.readers, "query_only"))
	require.Equal(t, "2000", pragma(t, s.readers, "busy_timeout"))
	require.Equal(t, 3, s.readers.Stats().MaxOpenConnections)
	_, err := s.readers.ExecContext(t.Context(), "insert into meta values ('a', 'b')")
	require.ErrorContains(t, err, "readonly")
}

func TestRelaxedSyncsAtCheckpointsOnly(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{Durability: Relaxed})
	require.Equal(t, "1", pragma(t, s.writer.db, "synchronous"))
	mustAppend(t, s, batchOf("t", 0, 10, 10))
	require.NoError(t, s.Close())

	s = openTest(t, dir, Options{})
	require.Equal(t, "2", pragma(t, s.writer.db, "synchronous"), "the mode is not kept in the file")
	requireUnique(t, s, 10)
}

func TestASettingThatDidNotTakeIsFound(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	require.NoError(t, checkSettings(t.Context(), s.writer.db, Durable))
	require.ErrorContains(t, checkSettings(t.Context(), s.writer.db, Relaxed), "pragma synchronous is 2")
	for name, value := range map[string]string{"wal_autocheckpoint": "1000", "cell_size_check": "0", "busy_timeout": "1", "cache_size": "-2000"} {
		before := pragma(t, s.writer.db, name)
		execWriter(t, s, "pragma "+name+" = "+value)
		require.ErrorContains(t, checkSettings(t.Context(), s.writer.db, Durable), "pragma "+name+" is")
		execWriter(t, s, "pragma "+name+" = "+before)
	}
}

func TestTablesAreStrict(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	rows, err := s.readers.QueryContext(t.Context(), "select name, strict from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite_%'")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	tables := 0
	for rows.Next() {
		var (
			name   string
			strict bool
		)
		require.NoError(t, rows.Scan(&name, &strict))
		require.True(t, strict, name)
		tables++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 4, tables)
}
