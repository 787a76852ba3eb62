package sqlite

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

const testGeneration = 64

// openSmall opens a store whose index writes a segment every 64 rows.
func openSmall(t testing.TB, dir string) *Store {
	t.Helper()
	return openTest(t, dir, Options{generationRows: testGeneration})
}

// fillTopics stores n events of two topics in batches of 50.
func fillTopics(t testing.TB, s *Store, n int) {
	t.Helper()
	for first := 0; first < n; first += 50 {
		mustAppend(t, s, twoTopics(first, 50))
	}
}

// twoTopics is n events from first, every other one of another topic.
func twoTopics(first, n int) sekali.Batch {
	b := batchOf("a", first, n, 10)
	for i := 1; i < n; i += 2 {
		b.Events[i].Topic = "b"
	}
	return b
}

// requireAllKnown sends everything again: each is a duplicate of its own row.
func requireAllKnown(t testing.TB, s *Store, n int) {
	t.Helper()
	for i, d := range mustAppend(t, s, twoTopics(0, n)).Decisions {
		require.False(t, d.Stored, "event %d is known", i)
		require.EqualValues(t, i+1, d.Seq)
	}
	page, err := s.Events(t.Context(), sekali.EventsQuery{Topic: "b", Limit: n})
	require.NoError(t, err)
	require.Len(t, page.Events, n/2)
	for i, e := range page.Events {
		require.EqualValues(t, 2*i+2, e.Seq)
	}
}

// segmentFiles returns the paths of the segments of an index.
func segmentFiles(t testing.TB, dir, name string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, indexFolder, name+"-*.seg"))
	require.NoError(t, err)
	return files
}

// eventuallySegments waits until the index has been written.
func eventuallySegments(t testing.TB, dir, name string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(segmentFiles(t, dir, name)) > 0 }, time.Minute, time.Millisecond)
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}

func TestTheIndexIsRebuiltWhateverHappensToItsFiles(t *testing.T) {
	const events = 1000
	for name, harm := range map[string]func(t *testing.T, dir string){
		"all files lost": func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, indexFolder)))
		},
		"one file lost": func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(segmentFiles(t, dir, "events")[0]))
		},
		"one file cut": func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(segmentFiles(t, dir, "events")[0], 5000))
		},
		"the files of another database": func(t *testing.T, dir string) {
			other := t.TempDir()
			s := openSmall(t, other)
			fillTopics(t, s, events)
			require.NoError(t, s.Close())
			require.NoError(t, os.RemoveAll(filepath.Join(dir, indexFolder)))
			require.NoError(t, os.CopyFS(filepath.Join(dir, indexFolder), os.DirFS(filepath.Join(other, indexFolder))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openSmall(t, dir)
			fillTopics(t, s, events)
			eventuallySegments(t, dir, "events")
			require.NoError(t, s.Close())
			harm(t, dir)
			s = openSmall(t, dir)
			requireAllKnown(t, s, events)
			requireUnique(t, s, events)
		})
	}
}

func TestAnIndexThatIsAheadOfTheDatabaseIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	fillTopics(t, s, 100)
	require.NoError(t, s.Close())
	older := filepath.Join(t.TempDir(), databaseFile)
	copyFile(t, s.path, older)

	s = openSmall(t, dir)
	mustAppend(t, s, batchOf("lost", 0, 400, 10))
	eventuallySegments(t, dir, "events")
	require.NoError(t, s.Close())
	copyFile(t, older, s.path)
	require.NoError(t, os.Remove(filepath.Join(dir, markName)), "it would refuse this database")

	s = openSmall(t, dir)
	for _, d := range mustAppend(t, s, batchOf("other", 0, 400, 10)).Decisions {
		require.True(t, d.Stored)
	}
	for _, d := range mustAppend(t, s, batchOf("other", 0, 400, 10)).Decisions {
		require.False(t, d.Stored, "rows whose numbers were used before are indexed anew")
	}
	for _, d := range mustAppend(t, s, batchOf("lost", 0, 400, 10)).Decisions {
		require.True(t, d.Stored, "what the database does not have is new")
	}
}

func TestADamagedBlockIsRefusedThenRebuiltWhileTheStoreRuns(t *testing.T) {
	const events = 1000
	dir := t.TempDir()
	s := openSmall(t, dir)
	fillTopics(t, s, events)
	require.Eventually(t, func() bool { return len(segmentFiles(t, dir, "events")) == 1+(events/testGeneration)%8 }, time.Minute, time.Millisecond)
	for _, file := range segmentFiles(t, dir, "events") {
		flipByte(t, file, 4096+100) // in the first block of the dedup column
	}
	refused := false
	require.Eventually(t, func() bool {
		_, err := s.AppendBatch(t.Context(), twoTopics(0, events))
		if err != nil {
			require.Equal(t, sekali.CodeStorageBusy, sekali.CodeOf(err))
			refused = true
			return false
		}
		return true
	}, time.Minute, time.Millisecond)
	require.True(t, refused, "the control: the damage was met")
	requireAllKnown(t, s, events)
}

func flipByte(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	require.NoError(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestARowThatWasChangedStopsTheStore(t *testing.T) {
	for _, change := range []string{
		`update events set payload = x'00' where seq = 1`,
		`update events set event_id = 'other' where seq = 1`,
		`update events set processed_at = processed_at + 1 where seq = 1`,
		`update events set seq = 77 where seq = 1`,
		`delete from events where seq = 1`,
	} {
		t.Run(change, func(t *testing.T) {
			s := openTest(t, t.TempDir(), Options{})
			mustAppend(t, s, batchOf("t", 0, 2, 10))
			require.False(t, mustAppend(t, s, batchOf("t", 0, 1, 10)).Decisions[0].Stored, "the control: as it was, it is a duplicate")
			foreign, err := sql.Open("sqlite", writerDSN(s.path, Durable))
			require.NoError(t, err)
			_, err = foreign.ExecContext(t.Context(), change)
			require.NoError(t, err)
			require.NoError(t, foreign.Close())
			_, err = s.AppendBatch(t.Context(), batchOf("t", 0, 1, 10))
			require.ErrorIs(t, err, errRowDamaged)
			require.Equal(t, sekali.CodeStorageFailed, sekali.CodeOf(err), "to take it for another event would store its id again")
		})
	}
}

func TestRowsThatChangedTheirTopicStopTheStore(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("other", 0, 1, 10))
	mustAppend(t, s, batchOf("t", 0, 200, 10))
	foreign, err := sql.Open("sqlite", writerDSN(s.path, Durable))
	require.NoError(t, err)
	_, err = foreign.ExecContext(t.Context(), `update events set topic_id = 1 where seq > 1`)
	require.NoError(t, err)
	require.NoError(t, foreign.Close())
	_, err = s.AppendBatch(t.Context(), batchOf("t", 0, 200, 10))
	require.ErrorIs(t, err, errRowDamaged, "by all connections at once, without waiting for each other")
}

func TestIdsWithOneKeyAreToldApartByTheirRows(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 0, 2, 10))
	withWriter(t, s, func() error {
		sqlTx, err := s.writer.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, sqlTx.Rollback()) }()
		tx := newAppendTx(s.writer, sqlTx, time.Now())
		known, err := s.writer.judge.known([]int64{1, 2}, nil)
		require.NoError(t, err)
		tx.decisions = make([]sekali.Decision, 2)
		e := batchOf("t", 1, 2, 10).Events
		topic := known[1].topic
		tx.decideEvent(0, &e[0], topic, 7, []int64{1, 2}, known)
		tx.decideEvent(1, &e[1], topic, 7, []int64{1, 2}, known)
		require.False(t, tx.decisions[0].Stored)
		require.EqualValues(t, 2, tx.decisions[0].Seq, "the second row with the key has the id")
		require.True(t, tx.decisions[1].Stored, "no row with the key has it")
		return nil
	})
}

func TestDuplicatesOfManyEventsAreCountedOverSegments(t *testing.T) {
	const events = 500
	dir := t.TempDir()
	s := openSmall(t, dir)
	fillTopics(t, s, events)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for round := range 3 {
		var b sekali.Batch
		for seq := int64(1); seq <= events; seq++ {
			b.Duplicates = append(b.Duplicates, sekali.DuplicateTally{
				Topic: "a", Seq: seq, Count: seq, Conflicts: int64(round), LastAt: at.Add(time.Duration(round) * time.Hour),
			})
		}
		mustAppend(t, s, b)
		eventuallySegments(t, dir, "duplicates")
		if round == 1 { // the third round goes into rows of its own
			require.NoError(t, s.Close())
			s = openSmall(t, dir)
		}
	}
	for _, seq := range []int64{1, 64, 65, 499} {
		var topic, id string
		require.NoError(t, s.readers.QueryRowContext(t.Context(),
			`select t.name, e.event_id from events e join topics t on t.id = e.topic_id where seq = ?`, seq).Scan(&topic, &id))
		d, err := s.Event(t.Context(), topic, id)
		require.NoError(t, err)
		require.Equal(t, 3*seq, d.DuplicateCount)
		require.EqualValues(t, 0+1+2, d.ConflictCount)
		require.Equal(t, at.Add(2*time.Hour), d.LastDuplicate)
	}
	var rows int
	require.NoError(t, s.readers.QueryRowContext(t.Context(), `select count(*) from duplicates`).Scan(&rows))
	require.Equal(t, 2*events, rows, "a repeat is added to a recent row, and after a restart gets a new one")
}

func TestTheIndexFolderIsPrivate(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	fillTopics(t, s, 200)
	eventuallySegments(t, dir, "events")
	for _, path := range append(segmentFiles(t, dir, "events"), filepath.Join(dir, indexFolder)) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0), info.Mode().Perm()&0o077, path)
	}
}
