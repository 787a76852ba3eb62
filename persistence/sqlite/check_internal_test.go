package sqlite

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// syncBuffer is a log that a goroutine writes while another reads it.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// changed is a closed or killed store of n events after some statements.
func changed(t testing.TB, n int, killed bool, statements ...string) (dir string) {
	t.Helper()
	s := openTest(t, t.TempDir(), Options{})
	for i := 0; i < n; i += 1000 {
		mustAppend(t, s, batchOf("t", i, min(1000, n-i), 10))
	}
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", s.path)
	require.NoError(t, err)
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	if !killed {
		return s.dir
	}
	return crashed(t, openTest(t, s.dir, Options{tailRows: 1}))
}

func TestDamageAmongTheNewestEventsIsRefusedAtStart(t *testing.T) {
	for _, change := range []string{
		`update events set payload = x'00' where seq = 50`,
		`update events set event_id = 'other' where seq = 31`,
		`delete from events where seq = 40`,
		`delete from topics`,
	} {
		_, err := Open(t.Context(), changed(t, 50, false, change), Options{tailRows: 20})
		require.ErrorIs(t, err, errRowDamaged, change)
		require.ErrorContains(t, err, "sekali verify", "of the newest 20")
	}
	openTest(t, changed(t, 50, false, "select 1"), Options{tailRows: 20})
	openTest(t, changed(t, 50, false, `update events set payload = x'00' where seq = 30`), Options{tailRows: 20}) // the judge or verify find it
}

func TestAfterAKillEveryEventIsCheckedInTheBackground(t *testing.T) {
	change := []string{`update events set payload = x'00' where seq in (3, 7)`, `delete from events where seq between 20 and 29`}
	for _, tc := range []struct {
		dir   string
		wants []string
	}{
		{changed(t, 2500, true), []string{"every event was checked", "events=2500", "damaged=0"}},
		{changed(t, 2500, true, change...), []string{"event 3: ", "event 7: ", "the events from 20 to 29 are missing", "events=2490", "damaged=3"}},
	} {
		var said syncBuffer
		s := openTest(t, tc.dir, Options{tailRows: 20, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		require.Eventually(t, func() bool { return strings.Contains(said.String(), "every event was checked") }, time.Minute, time.Millisecond)
		for _, want := range tc.wants {
			require.Contains(t, said.String(), want)
		}
		require.NoError(t, s.Ready(), "the other events are what they were")
		require.NoError(t, s.Close())

		var again syncBuffer
		s = openTest(t, tc.dir, Options{tailRows: 20, Logger: slog.New(slog.NewTextHandler(&again, nil))})
		require.Nil(t, s.scrubber, "a store that was closed is not checked again")
	}
}

func TestAfterAKillTheStructureOfASmallDatabaseIsChecked(t *testing.T) {
	for _, killed := range []bool{false, true} {
		dir := changed(t, 10, killed)
		path := filepath.Join(dir, databaseFile)
		db, err := sql.Open("sqlite", path)
		require.NoError(t, err)
		var root int64
		require.NoError(t, db.QueryRowContext(t.Context(), "select rootpage from sqlite_schema where name = 'sqlite_autoindex_topics_1'").Scan(&root))
		require.NoError(t, db.Close())
		flipByte(t, path, (root-1)*4096) // what kind of page it is
		if !killed {
			openTest(t, dir, Options{}) // after a clean stop it is left to 'sekali verify'
			continue
		}
		_, err = Open(t.Context(), dir, Options{})
		require.ErrorContains(t, err, "sekali.db is damaged")
	}
}
