package sqlite

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// directorySum is a checksum over the files of a data directory that hold
// something.
func directorySum(t testing.TB, dir string) (sums []string) {
	t.Helper()
	for _, name := range []string{databaseFile, databaseFile + "-wal", markName} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
		sums = append(sums, fmt.Sprintf("%s %x", name, xxhash.Sum64(content)))
	}
	return sums
}

// requireLoss expects that the directory is refused and left as it was.
func requireLoss(t testing.TB, dir string) *LossError {
	t.Helper()
	before := directorySum(t, dir)
	var first *LossError
	for range 2 {
		_, err := Open(t.Context(), dir, Options{})
		var loss *LossError
		require.ErrorAs(t, err, &loss)
		if first != nil {
			require.Equal(t, first.ID, loss.ID)
		}
		first = loss
		_, err = Open(t.Context(), dir, Options{AcceptLoss: "00000000"})
		require.ErrorAs(t, err, &loss, "another loss is not accepted")
		require.Equal(t, before, directorySum(t, dir), "the evidence is left")
	}
	return first
}

// tenBatches is a killed store of 100 events and 5 duplicates, and the size of
// its log after each transaction.
func tenBatches(t testing.TB) (dir string, sizes []int64) {
	t.Helper()
	s := openTest(t, t.TempDir(), Options{})
	for i := range 10 {
		mustAppend(t, s, batchOf("t", i*10, 10, 100))
		sizes = append(sizes, walFile(t, s))
	}
	mustAppend(t, s, tallyOf("t", 1, 5))
	return crashed(t, s), append(sizes, walFile(t, s))
}

func TestAKilledStoreLosesNothing(t *testing.T) {
	dir, _ := tenBatches(t)
	s := openTest(t, dir, Options{})
	requireUnique(t, s, 100)
	require.Zero(t, walFile(t, s), "what was in the log is in the database")
}

func TestALogThatWasCutIsRefused(t *testing.T) {
	dir, sizes := tenBatches(t)
	wal := filepath.Join(dir, databaseFile+"-wal")
	require.NoError(t, os.Truncate(wal, sizes[9]))
	loss := requireLoss(t, dir)
	require.ErrorContains(t, loss, "it lacks the counts of 5 duplicates", "a transaction without events counts, too")

	require.NoError(t, os.Truncate(wal, sizes[9]-1))
	loss = requireLoss(t, dir)
	require.ErrorContains(t, loss, "it lacks 1 transaction (10 to 10) with 10 events (seq 91 to 100) with the counts of 5 duplicates")

	require.NoError(t, os.Truncate(wal, sizes[3]))
	loss = requireLoss(t, dir)
	require.ErrorContains(t, loss, "6 transactions (5 to 10) with 60 events (seq 41 to 100)")
	require.Contains(t, loss.Error(), dir)

	require.NoError(t, os.Truncate(wal, 0))
	require.ErrorContains(t, requireLoss(t, dir), "100 events (seq 1 to 100)")
	require.NoError(t, os.RemoveAll(wal))
	loss = requireLoss(t, dir)
	require.ErrorContains(t, loss, "100 events (seq 1 to 100)")
}

func TestAFlippedBitInTheLogIsRefusedWhereverItIs(t *testing.T) {
	random := rand.New(rand.NewPCG(prove.Seed(t), 4))
	dir, sizes := tenBatches(t)
	proven := 0
	for range 60 {
		copied := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		at := random.IntN(int(sizes[10]))
		flipByte(t, filepath.Join(copied, databaseFile+"-wal"), int64(at))
		_, err := Open(t.Context(), copied, Options{})
		var loss *LossError
		require.ErrorAs(t, err, &loss, "byte %d", at)
		if loss.Found == nil {
			proven++
			require.ErrorContains(t, loss, "transaction 10 with event 100")
		}
	}
	require.Positive(t, proven, "the log alone proves it when the mark does not know")
}

func TestADatabaseThatWentBackInTimeIsRefused(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{})
	mustAppend(t, s, batchOf("t", 0, 10, 10))
	require.NoError(t, s.Close())
	older := filepath.Join(t.TempDir(), databaseFile)
	copyFile(t, s.path, older)
	s = openTest(t, s.dir, Options{})
	mustAppend(t, s, batchOf("t", 10, 10, 10))
	require.NoError(t, s.Close())
	copyFile(t, older, s.path)
	require.ErrorContains(t, requireLoss(t, s.dir), "10 events (seq 11 to 20)")

	other := openTest(t, t.TempDir(), Options{})
	require.NoError(t, other.Close())
	copyFile(t, other.path, s.path)
	require.ErrorContains(t, requireLoss(t, s.dir), "was written for another database")

	require.NoError(t, os.Remove(s.path))
	_, err := Open(t.Context(), s.dir, Options{})
	require.ErrorContains(t, err, "sekali.db is missing")
}

func TestAnAcceptedLossGivesNoNumberTwice(t *testing.T) {
	dir, sizes := tenBatches(t)
	require.NoError(t, os.Truncate(filepath.Join(dir, databaseFile+"-wal"), sizes[3]))
	loss := requireLoss(t, dir)
	s := openTest(t, dir, Options{AcceptLoss: loss.ID})
	requireUnique(t, s, 40)
	require.NoError(t, s.Close())

	s = openTest(t, dir, Options{AcceptLoss: loss.ID})
	for i, d := range mustAppend(t, s, batchOf("t", 35, 10, 100)).Decisions {
		require.Equal(t, i >= 5, d.Stored, "the five that are there and the five that were lost")
		if d.Stored {
			require.EqualValues(t, 101+i-5, d.Seq)
		}
	}
	var note string
	require.NoError(t, s.readers.QueryRowContext(t.Context(), "select value from meta where key = ?", "loss "+loss.ID).Scan(&note))
	require.Contains(t, note, "seq 41 to 100")
	dir = crashed(t, s)
	s = openTest(t, dir, Options{})
	requireUnique(t, s, 45)
	require.EqualValues(t, 106, mustAppend(t, s, batchOf("u", 0, 1, 1)).Decisions[0].Seq)

	// The next loss is another one.
	dir = crashed(t, s)
	require.NoError(t, os.Remove(filepath.Join(dir, databaseFile+"-wal")))
	again := requireLoss(t, dir)
	_, err := Open(t.Context(), dir, Options{AcceptLoss: loss.ID})
	require.ErrorAs(t, err, &again)
}

func TestAProvenLossCanBeAccepted(t *testing.T) {
	dir, sizes := tenBatches(t)
	flipByte(t, filepath.Join(dir, databaseFile+"-wal"), sizes[5]+100)
	loss := requireLoss(t, dir)
	require.Nil(t, loss.Found)
	s := openTest(t, dir, Options{AcceptLoss: loss.ID})
	requireUnique(t, s, 60)
	require.EqualValues(t, 101, mustAppend(t, s, batchOf("new", 0, 1, 1)).Decisions[0].Seq)
	s = openTest(t, crashed(t, s), Options{})
	requireUnique(t, s, 61)
}

func TestAnAcceptedLossBeyondAnOldMarkGivesNoNumberTwice(t *testing.T) {
	dir, sizes := tenBatches(t)
	mark, err := readMark(filepath.Join(dir, markName))
	require.NoError(t, err)
	mark.Batch, mark.Seq = 2, 20 // as a loss of power may leave it
	file, err := createMark(realDisk{}, filepath.Join(dir, markName), *mark)
	require.NoError(t, err)
	require.NoError(t, file.file.Close())
	flipByte(t, filepath.Join(dir, databaseFile+"-wal"), sizes[5]+100)
	s := openTest(t, dir, Options{AcceptLoss: requireLoss(t, dir).ID})
	requireUnique(t, s, 60)
	require.Greater(t, mustAppend(t, s, batchOf("new", 0, 1, 1)).Decisions[0].Seq, int64(90), "the last batch is no proof")
}

func TestARelaxedStoreMayLoseWhatWasNotSynced(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{Durability: Relaxed})
	withWriter(t, s, func() error { s.walInUse.Store(1); return nil }) // keeps the checkpointer from its own work
	for i := range 10 {
		mustAppend(t, s, batchOf("t", i*10, 10, 100))
	}
	dir := crashed(t, s)
	flipByte(t, filepath.Join(dir, databaseFile+"-wal"), 5000)
	r, err := auditLog(dir)
	require.NoError(t, err)
	require.Positive(t, r.LostCommits, "in a durable store it would be proof")
	s = openTest(t, dir, Options{})
	requireUnique(t, s, 0)
}

func TestAMarkIsNotNeededToStart(t *testing.T) {
	dir, _ := tenBatches(t)
	require.NoError(t, os.Remove(filepath.Join(dir, markName)))
	s := openTest(t, dir, Options{})
	requireUnique(t, s, 100)
	require.EqualValues(t, 100, mustReadMark(t, dir).Seq)
}
