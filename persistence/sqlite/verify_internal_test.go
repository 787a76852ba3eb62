package sqlite

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

// filled is a data directory with events of three topics, repeats and several
// index files, as a server leaves it that ended in the middle of its work: with
// a log. The name of topic 2 is "two".
func filled(t testing.TB) string {
	t.Helper()
	dir, copied := t.TempDir(), t.TempDir()
	s := openTest(t, dir, Options{generationRows: 256})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for n := range 10 {
		b := sekali.Batch{At: at.Add(time.Duration(n) * time.Second)}
		for _, topic := range []string{"one", "two", "three"} {
			some := batchOf(topic, 40*n, 40, 0)
			for i := range some.Events {
				some.Events[i].Payload = fmt.Appendf(nil, `{"n": [%d, {"text": "\ud83d \"{"}]}`, i)
			}
			b.Events = append(b.Events, some.Events...)
		}
		appended := mustAppend(t, s, b)
		tallies := sekali.Batch{At: b.At}
		for i := range 30 {
			d := appended.Decisions[i*4]
			tallies.Duplicates = append(tallies.Duplicates, sekali.DuplicateTally{
				Topic: b.Events[i*4].Topic, Seq: d.Seq, Count: 2, Conflicts: int64(i % 2), LastAt: b.At.Add(time.Millisecond),
			})
		}
		mustAppend(t, s, tallies)
		if n == 5 {
			withWriter(t, s, func() error { _, err := s.checkpoint(truncate); return err })
		}
	}
	require.Eventually(t, func() bool {
		files, err := filepath.Glob(filepath.Join(dir, indexFolder, "*.seg"))
		return err == nil && len(files) == 1200/256+300/256
	}, time.Minute, time.Millisecond)
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	return copied
}

func verified(t testing.TB, dir string) *VerifyReport {
	t.Helper()
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	require.NoError(t, err)
	return r
}

// fingerprints of all files below dir but the lock file, which has the time in it.
func fingerprints(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	sums := make(map[string][32]byte)
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == lockFile {
			sums[path] = [32]byte{}
			return err
		}
		text, err := os.ReadFile(path)
		sums[path] = sha256.Sum256(text)
		return err
	}))
	return sums
}

func TestASoundDirectoryVerifiesAndNotAByteOfItChanges(t *testing.T) {
	dir := filled(t)
	require.FileExists(t, filepath.Join(dir, "sekali.db-wal"))
	before := fingerprints(t, dir)
	r := verified(t, dir)
	require.Empty(t, r.Findings)
	require.Equal(t, before, fingerprints(t, dir))
	require.EqualValues(t, 1200, r.Events)
	require.EqualValues(t, 1200, r.LastSeq)
	require.EqualValues(t, 3, r.Topics)
	require.EqualValues(t, 600, r.Duplicates)
	require.EqualValues(t, 150, r.Conflicts)
	require.Equal(t, 5, r.IndexFiles)
	require.EqualValues(t, 2*1024+256, r.IndexEntries)

	require.NoError(t, openTest(t, dir, Options{}).Close())
	rest := verified(t, dir)
	require.Empty(t, rest.Findings, "without a log, too")
	require.Equal(t, r.Content, rest.Content)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, indexFolder)))
	require.Empty(t, verified(t, dir).Findings, "the index is derived")
}

func TestADirectoryInUseIsNotVerified(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	_, err := Verify(t.Context(), dir, VerifyOptions{})
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
	require.Contains(t, inUse.Holder, fmt.Sprint("process ", os.Getpid()))
	require.NoError(t, s.Close())
	lock, err := shareDir(dir)
	require.NoError(t, err)
	require.Empty(t, verified(t, dir).Findings, "several may read it")
	_, err = Open(t.Context(), dir, Options{})
	require.ErrorAs(t, err, &inUse, "nobody writes meanwhile")
	require.NoError(t, lock.release())
}

func TestWhatCannotBeVerifiedIsAnError(t *testing.T) {
	_, err := Verify(t.Context(), filepath.Join(t.TempDir(), "none"), VerifyOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Verify(t.Context(), t.TempDir(), VerifyOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// damage executes statements on the database of a directory.
func damage(t testing.TB, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", fileURI(filepath.Join(dir, databaseFile), ""))
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for _, s := range append([]string{"pragma foreign_keys = off", "pragma writable_schema = on"}, statements...) {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	require.NoError(t, db.Close())
}

// rewrite changes a row of the events so that its checksum fits.
func rewrite(t testing.TB, dir string, seq int64, change func(r *eventRow)) {
	t.Helper()
	db, err := sql.Open("sqlite", fileURI(filepath.Join(dir, databaseFile), ""))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var r eventRow
	require.NoError(t, db.QueryRowContext(t.Context(), `select e.seq, topic_id, t.name, event_id, source, timestamp, event_time, processed_at, batch, payload
		from events e join topics t on t.id = topic_id where seq = ?`, seq).
		Scan(&r.seq, &r.topic, &r.topicName, &r.id, &r.source, &r.timestamp, &r.eventTime, &r.processedAt, &r.batch, &r.payload))
	change(&r)
	sum, _ := r.checksum(nil)
	_, err = db.ExecContext(t.Context(), `update events set event_id = ?, source = ?, timestamp = ?, event_time = ?, processed_at = ?, batch = ?, payload = ?, checksum = ? where seq = ?`,
		r.id, r.source, r.timestamp, r.eventTime, r.processedAt, r.batch, r.payload, sum, seq)
	require.NoError(t, err)
}

// TestVerifyFindsWhatIsWrong is the control of every test that asks Verify:
// each kind of damage is found, by its kind and with its place.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	events := func(name string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			t.Helper()
			return filepath.Join(dir, indexFolder, name)
		}
	}
	segment, tallies := events("events-000000000257-000000000512.seg"), events("duplicates-000000000001-000000000256.seg")
	sound := filled(t)
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, dir string)
		finds []FindingKind
		says  string
	}{
		"a row with another payload": {func(t *testing.T, dir string) {
			damage(t, dir, `update events set payload = x'7b7d' where seq = 700`)
		}, []FindingKind{FindingDamaged}, `seq 700, topic "three"`},
		"a row with another time": {func(t *testing.T, dir string) {
			damage(t, dir, `update events set event_time = event_time + 1 where seq = 3`)
		}, []FindingKind{FindingDamaged}, `seq 3, topic "one", id "2"`},
		"a row with another checksum, the last of an index file": {func(t *testing.T, dir string) {
			damage(t, dir, `update events set checksum = checksum + 1 where seq = 512`)
		}, []FindingKind{FindingDamaged, FindingIndex}, "seq 512"},
		"a row removed": {func(t *testing.T, dir string) {
			damage(t, dir, `delete from events where seq = 400`)
		}, []FindingKind{FindingMissing, FindingCounts, FindingIndex}, "seq 400"},
		"rows removed at the end, where no index file is": {func(t *testing.T, dir string) {
			damage(t, dir, `delete from events where seq > 1190`)
		}, []FindingKind{FindingCounts, FindingDuplicates}, `topic "three" counts 400 unique events, its rows say 390`},
		"rows removed at the end, with the counts": {func(t *testing.T, dir string) {
			damage(t, dir, `delete from duplicates where seq > 1000`, `delete from events where seq > 1000`, `update topics set
				unique_count = (select count(*) from events where topic_id = id),
				last_seen = (select max(processed_at) from events where topic_id = id),
				duplicate_count = (select sum(count) from duplicates d join events e on e.seq = d.seq where topic_id = topics.id),
				conflict_count = (select sum(conflicts) from duplicates d join events e on e.seq = d.seq where topic_id = topics.id)`)
		}, []FindingKind{FindingTopic, FindingIndex}, "covers rows up to 1024, the table ends at 1000"},
		"a row moved": {func(t *testing.T, dir string) {
			damage(t, dir, `update events set seq = 1201 where seq = 30`)
		}, []FindingKind{FindingMissing, FindingDamaged, FindingOrder, FindingIndex}, "seq 30"},
		"a row moved beyond all": {func(t *testing.T, dir string) {
			damage(t, dir, `update events set seq = 1 << 50 where seq = 1200`)
		}, []FindingKind{FindingDamaged, FindingCounts}, "cannot hold so many rows"},
		"an id stored twice": {func(t *testing.T, dir string) {
			rewrite(t, dir, 1150, func(r *eventRow) { r.id = "7" })
		}, []FindingKind{FindingTwice}, `id "7": seq [48 1150]`},
		"an id that no sender may have": {func(t *testing.T, dir string) {
			rewrite(t, dir, 1150, func(r *eventRow) { r.id = "a\nb" })
		}, []FindingKind{FindingInvalid}, "the id has a control character"},
		"a source that is no UTF-8": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) { r.source = "\xff" })
		}, []FindingKind{FindingInvalid}, "the source is not valid UTF-8"},
		"no source": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) { r.source = "" })
		}, []FindingKind{FindingInvalid}, "the source is empty"},
		"a long timestamp": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) { r.timestamp = strings.Repeat("0", 65) })
		}, []FindingKind{FindingInvalid}, "the timestamp"},
		"a time before all": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) { r.eventTime = -1 })
		}, []FindingKind{FindingInvalid}, "years 1970 to 2200"},
		"a payload that is no object": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) { r.payload = []byte("[1]") })
		}, []FindingKind{FindingInvalid}, "not a JSON object"},
		"a payload that is cut off": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) { r.payload = []byte(`{"a": `) })
		}, []FindingKind{FindingInvalid}, "not valid JSON"},
		"a payload that nests too deep": {func(t *testing.T, dir string) {
			rewrite(t, dir, 8, func(r *eventRow) {
				r.payload = []byte(strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65))
			})
		}, []FindingKind{FindingInvalid}, "nests too deep"},
		"a transaction out of order": {func(t *testing.T, dir string) {
			rewrite(t, dir, 500, func(r *eventRow) { r.batch = 1 })
		}, []FindingKind{FindingOrder}, "seq 500 is of transaction 1"},
		"a row with another time than its transaction": {func(t *testing.T, dir string) {
			rewrite(t, dir, 500, func(r *eventRow) { r.processedAt-- })
		}, []FindingKind{FindingOrder}, "seq 500 has another time"},
		"a row of no topic": {func(t *testing.T, dir string) {
			damage(t, dir, `update events set topic_id = 9 where seq = 2`)
		}, []FindingKind{FindingTopic, FindingCounts, FindingIndex}, "seq 2: there is no topic 9"},
		"a topic renamed": {func(t *testing.T, dir string) {
			damage(t, dir, `update topics set name = 'zwei' where id = 2`)
		}, []FindingKind{FindingDamaged}, `topic "zwei"`},
		"a topic whose name is none": {func(t *testing.T, dir string) {
			damage(t, dir, `update topics set name = '' where id = 2`)
		}, []FindingKind{FindingDamaged, FindingTopic}, "the name is empty"},
		"a topic without events": {func(t *testing.T, dir string) {
			damage(t, dir, `insert into topics (name, first_seen, last_seen) values ('four', 1, 1)`)
		}, []FindingKind{FindingTopic}, `topic "four" has no events`},
		"another time of a topic": {func(t *testing.T, dir string) {
			damage(t, dir, `update topics set first_seen = first_seen - 1 where id = 3`)
		}, []FindingKind{FindingTopic}, "the times of its first and last event"},
		"a count of events": {func(t *testing.T, dir string) {
			damage(t, dir, `update topics set unique_count = 401 where id = 2`)
		}, []FindingKind{FindingCounts}, `topic "two" counts 401 unique events, its rows say 400`},
		"a count of repeats": {func(t *testing.T, dir string) {
			damage(t, dir, `update topics set duplicate_count = duplicate_count - 1, conflict_count = 0 where id = 2`)
		}, []FindingKind{FindingCounts}, "conflicts, its rows say"},
		"a row of repeats": {func(t *testing.T, dir string) {
			damage(t, dir, `update duplicates set count = 3 where id = 290`)
		}, []FindingKind{FindingCounts}, "repeats, its rows say"},
		"impossible repeats": {func(t *testing.T, dir string) {
			damage(t, dir, `update duplicates set count = 0 where id = 290`, `update topics set duplicate_count = duplicate_count - 2 where name = 'two'`)
		}, []FindingKind{FindingDuplicates}, "row 290: 0 repeats"},
		"repeats of nothing": {func(t *testing.T, dir string) {
			damage(t, dir, `update duplicates set seq = 5000 where id = 290`)
		}, []FindingKind{FindingCounts, FindingDuplicates}, "seq 5000, which does not exist"},
		"repeats of another event": {func(t *testing.T, dir string) {
			damage(t, dir, `update duplicates set seq = seq + 1 where id = 200`)
		}, []FindingKind{FindingIndex}, "duplicates-000000000001-000000000256.seg: the entries of column 0"},
		"a row of repeats removed": {func(t *testing.T, dir string) {
			damage(t, dir, `delete from duplicates where id = 200`)
		}, []FindingKind{FindingCounts, FindingDuplicates, FindingIndex}, "there are only"},
		"another secret": {func(t *testing.T, dir string) {
			damage(t, dir, `update meta set value = '000102030405060708090a0b0c0d0e0f' where key = 'index_secret'`)
		}, []FindingKind{FindingIndex}, "of another database"},
		"no secret": {func(t *testing.T, dir string) {
			damage(t, dir, `delete from meta where key = 'index_secret'`)
		}, []FindingKind{FindingDatabase}, "secret"},
		"another version": {func(t *testing.T, dir string) {
			damage(t, dir, `pragma user_version = 9`)
		}, []FindingKind{FindingDatabase}, "schema version 9"},
		"a trigger": {func(t *testing.T, dir string) {
			damage(t, dir, `create trigger tr after insert on events begin delete from topics; end`)
		}, []FindingKind{FindingDatabase}, "CREATE TRIGGER tr"},
		"another schema": {func(t *testing.T, dir string) {
			damage(t, dir, `update sqlite_schema set sql = replace(sql, 'source       text    not null', 'source       text') where name = 'events'`)
		}, []FindingKind{FindingDatabase}, "no table like: create table events"},
		"another program's database": {func(t *testing.T, dir string) {
			damage(t, dir, `pragma application_id = 1`)
		}, []FindingKind{FindingDatabase}, "not a Sekali database"},
		"no database": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, databaseFile), nil, 0o600))
		}, []FindingKind{FindingDatabase}, "is not a SQLite database"},
		"a flipped bit in the entries of an index file": {func(t *testing.T, dir string) {
			flip(t, segment(t, dir), 5000)
		}, []FindingKind{FindingIndex}, "block 0"},
		"a flipped bit in the header of an index file": {func(t *testing.T, dir string) {
			flip(t, segment(t, dir), 16)
		}, []FindingKind{FindingIndex}, "bad header"},
		"an index file cut off": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(tallies(t, dir), 5000))
		}, []FindingKind{FindingIndex}, "damaged segment"},
		"an index file under another name": {func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(segment(t, dir), filepath.Join(dir, indexFolder, "events-000000000257-000000000513.seg")))
		}, []FindingKind{FindingIndex}, "of another index"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(sound)))
			require.NoError(t, os.Remove(filepath.Join(dir, markName))) // it would find some of this, too
			tc.spoil(t, dir)
			r := verified(t, dir)
			var kinds []FindingKind
			var all []string
			for _, f := range r.Findings {
				kinds, all = append(kinds, f.Kind), append(all, f.Examples...)
				require.NotEmpty(t, f.Advice)
				require.GreaterOrEqual(t, f.Count, int64(len(f.Examples)))
			}
			require.Equal(t, tc.finds, kinds, "%q", all)
			require.Contains(t, strings.Join(all, "\n"), tc.says)
		})
	}
}

func TestVerifyFindsALogThatLostTransactions(t *testing.T) {
	sound := filled(t)
	for name, spoil := range map[string]func(t *testing.T, dir, log string, size int64){
		"a log cut off, by the mark": func(t *testing.T, _, log string, size int64) {
			require.NoError(t, os.Truncate(log, size/2))
		},
		"no log, by the mark": func(t *testing.T, _, log string, _ int64) {
			require.NoError(t, os.Remove(log))
		},
		"a flipped bit, by the log itself": func(t *testing.T, dir, log string, size int64) {
			require.NoError(t, os.Remove(filepath.Join(dir, markName)))
			flip(t, log, size/3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(sound)))
			log := filepath.Join(dir, logFile)
			info, err := os.Stat(log)
			require.NoError(t, err)
			spoil(t, dir, log, info.Size())
			before := fingerprints(t, dir)
			r := verified(t, dir)
			require.NotEmpty(t, r.Findings)
			require.Equal(t, FindingLog, r.Findings[0].Kind)
			require.Contains(t, r.Findings[0].Examples[0], "acknowledged events are missing")
			require.Equal(t, before, fingerprints(t, dir))
		})
	}
}

// TestEventsWhoseLossWasAcceptedAreNotMissing: their numbers are not given again.
func TestEventsWhoseLossWasAcceptedAreNotMissing(t *testing.T) {
	dir, place := filled(t), filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, indexFolder)))
	require.NoError(t, os.Remove(filepath.Join(dir, logFile)))
	_, err := Open(t.Context(), dir, Options{})
	var loss *LossError
	require.ErrorAs(t, err, &loss)
	s := openTest(t, dir, Options{AcceptLoss: loss.ID})
	appendRepeated(t, s, 5000, 100)
	require.NoError(t, s.Close())
	r := verified(t, dir)
	require.Empty(t, r.Findings)
	require.EqualValues(t, 1300, r.LastSeq)
	require.EqualValues(t, 1300, r.Events+r.AcceptedMissing)
	require.Positive(t, r.AcceptedMissing)

	backup := backedUp(t, dir, place, BackupOptions{page: 64})
	require.Equal(t, r.Content, backup.Manifest.Content)
	restored := filepath.Join(t.TempDir(), "data")
	_, err = Restore(t.Context(), place, restored, RestoreOptions{})
	require.NoError(t, err)
	require.Equal(t, r.Content, verified(t, restored).Content)
	damage(t, dir, `delete from events where seq = 1250`)
	_, err = Backup(t.Context(), dir, filepath.Join(t.TempDir(), "b"), BackupOptions{})
	require.ErrorContains(t, err, "the events 1250 to 1250 are missing")
}

// flip flips a bit of a byte in a file.
func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	require.NoError(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], at)
	require.NoError(t, err)
}

func TestPagesThatCannotBeReadAreNamedAndTheOtherRowsAreStillChecked(t *testing.T) {
	dir := filled(t)
	require.NoError(t, openTest(t, dir, Options{}).Close())
	damage(t, dir, `update events set payload = x'7b7d' where seq = 1100`)
	path := filepath.Join(dir, databaseFile)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	page := len(text) / 2 / 4096 * 4096 // the first ones are those that lead to the others
	require.Contains(t, string(text[page:page+4096]), `{"n": [20, {"text"`)
	require.NoError(t, os.WriteFile(path, slices.Concat(text[:page], bytes.Repeat([]byte{0xff}, 4096), text[page+4096:]), 0o600))
	r := verified(t, dir)
	var all []string
	for _, f := range r.Findings {
		all = append(all, string(f.Kind)+": "+strings.Join(f.Examples, "; "))
	}
	found := strings.Join(all, "\n")
	require.Contains(t, found, "pages: ")
	require.Contains(t, found, "unreadable: seq ")
	require.Contains(t, found, "damaged: seq 1100")
	require.Greater(t, r.Events, int64(1100))
}
