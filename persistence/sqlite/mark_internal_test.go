package sqlite

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

func mustReadMark(t testing.TB, dir string) *Mark {
	t.Helper()
	m, err := readMark(filepath.Join(dir, markName))
	require.NoError(t, err)
	return m
}

func TestAMarkIsReadAsItWasWritten(t *testing.T) {
	for _, m := range []Mark{
		{},
		{Batch: 1, Seq: 2, Repeats: 3, At: time.Unix(4, 5).UTC(), Clean: true, database: 6, turn: 7},
		{Batch: 1 << 60, Seq: 1 << 61, Repeats: 1 << 62, Relaxed: true, database: 1 << 63, turn: 1<<64 - 1},
	} {
		slot := m.appendSlot(nil)
		require.Len(t, slot, slotBytes)
		require.Equal(t, &m, parseSlot(slot))
		for i := range slot {
			slot[i] ^= 1
			require.Nil(t, parseSlot(slot), "byte %d changed", i)
			slot[i] ^= 1
		}
		require.Nil(t, parseSlot(slot[:slotBytes-1]))
	}
}

func TestATornMarkLeavesTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, markName)
	require.Nil(t, mustReadMark(t, dir), "there is none")
	m, err := createMark(realDisk{}, path, Mark{database: 1})
	require.NoError(t, err)
	for batch := range int64(5) {
		require.NoError(t, m.note(Mark{Batch: batch}))
		require.Equal(t, batch, mustReadMark(t, dir).Batch)
	}
	newest := int64(m.last.turn%2) * slotStride
	flipByte(t, path, newest+20)
	require.EqualValues(t, 3, mustReadMark(t, dir).Batch)
	flipByte(t, path, slotStride-newest+20)
	require.Nil(t, mustReadMark(t, dir), "both are torn")
	require.NoError(t, m.file.Close())
}

// TestANewStartReplacesTheOlderSlotFirst cuts the power at each step of
// createMark: at every moment one slot is whole and synced.
func TestANewStartReplacesTheOlderSlotFirst(t *testing.T) {
	for step := range 5 {
		dir := t.TempDir()
		path := filepath.Join(dir, markName)
		m, err := createMark(realDisk{}, path, Mark{Batch: 1})
		require.NoError(t, err)
		require.NoError(t, m.file.Close())
		next := mustReadMark(t, dir).turn + 1
		steps := 0
		d := testDisk{before: func(operation, _ string, _ []byte) error {
			if operation == "write" || operation == "sync" {
				if steps++; steps > step {
					return syscall.EIO
				}
			}
			return nil
		}}
		m, err = createMark(d, path, Mark{Batch: 2, turn: next})
		if err == nil {
			require.NoError(t, m.file.Close())
		}
		require.Equal(t, step < 4, err != nil)
		want := int64(2)
		if step < 1 {
			want = 1
		}
		require.Equal(t, want, mustReadMark(t, dir).Batch)
	}
}

// TestTheMarkIsNeverAheadOfTheCommits looks at the database whenever the mark
// is written.
func TestTheMarkIsNeverAheadOfTheCommits(t *testing.T) {
	var (
		s     *Store
		wrote int
	)
	d := testDisk{before: func(operation, path string, content []byte) error {
		if operation != "write" || filepath.Base(path) != markName || s == nil {
			return nil
		}
		wrote++
		m := parseSlot(content)
		var seq, batch, repeats int64
		row := s.readers.QueryRowContext(t.Context(), "select coalesce(max(seq), 0), coalesce(max(batch), 0), (select sum(duplicate_count) from topics) from events")
		require.NoError(t, row.Scan(&seq, &batch, &repeats))
		require.Equal(t, []int64{seq, batch, repeats}, []int64{m.Seq, m.Batch, m.Repeats})
		return nil
	}}
	s = openTest(t, t.TempDir(), Options{disk: d})
	for i := range 5 {
		mustAppend(t, s, batchOf("t", i*10, 10, 10))
	}
	mustAppend(t, s, tallyOf("t", 3, 7))
	require.Equal(t, 6, wrote)
	m := mustReadMark(t, s.dir)
	require.Equal(t, []int64{5, 50, 7}, []int64{m.Batch, m.Seq, m.Repeats})
	require.False(t, m.Clean)
	require.NoError(t, s.Close())
	require.True(t, mustReadMark(t, s.dir).Clean)

	s = openTest(t, s.dir, Options{})
	m = mustReadMark(t, s.dir)
	require.Equal(t, []int64{5, 50, 7}, []int64{m.Batch, m.Seq, m.Repeats})
	require.False(t, m.Clean, "it is in use")
}

// tallyOf counts n repeats of an event and stores nothing.
func tallyOf(topic string, seq, n int64) sekali.Batch {
	at := time.Date(2025, 10, 24, 10, 30, 1, 0, time.UTC)
	return sekali.Batch{At: at, Duplicates: []sekali.DuplicateTally{{Topic: topic, Seq: seq, Count: n, LastAt: at}}}
}

func TestTheMarkOfARelaxedStoreMovesWhenTheLogIsSynced(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{Durability: Relaxed})
	withWriter(t, s, func() error { s.walInUse.Store(1); return nil }) // keeps the checkpointer from its own work
	mustAppend(t, s, batchOf("t", 0, 10, 10))
	dir := crashed(t, s)
	m := mustReadMark(t, dir)
	require.True(t, m.Relaxed)
	require.Zero(t, m.Seq)

	withWriter(t, s, func() error { _, err := s.checkpoint(passive); return err })
	require.EqualValues(t, 10, mustReadMark(t, s.dir).Seq)

	s = openTest(t, dir, Options{})
	m = mustReadMark(t, dir)
	require.False(t, m.Relaxed, "the log was emptied and synced before the mode changed")
	require.EqualValues(t, 10, m.Seq)
	require.Zero(t, walFile(t, s))
}

// TestAFailingMarkStopsTheStore: after the first I/O error nothing is
// acknowledged.
func TestAFailingMarkStopsTheStore(t *testing.T) {
	broken := false
	d := testDisk{before: func(operation, path string, _ []byte) error {
		if broken && operation == "write" && strings.HasSuffix(path, markName) {
			return syscall.EIO
		}
		return nil
	}}
	s := openTest(t, t.TempDir(), Options{disk: d})
	mustAppend(t, s, batchOf("t", 0, 5, 10))
	broken = true
	_, err := s.AppendBatch(t.Context(), batchOf("t", 5, 5, 10))
	require.ErrorIs(t, err, sekali.ErrStorageFailed)
	require.ErrorIs(t, err, syscall.EIO)
	<-s.Failed()
	require.ErrorIs(t, s.Ready(), sekali.ErrStorageFailed)
	broken = false
	_, err = s.AppendBatch(t.Context(), batchOf("t", 10, 5, 10))
	require.ErrorIs(t, err, sekali.ErrStorageFailed)
}

func FuzzReadMark(f *testing.F) {
	m := Mark{Batch: 3, Seq: 4, turn: 5}
	content := make([]byte, markBytes)
	copy(content[slotStride:], m.appendSlot(nil))
	f.Add(content)
	f.Add(content[:slotStride+10])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), markName)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		found, err := readMark(path)
		require.NoError(t, err)
		if found != nil {
			require.Equal(t, binary.LittleEndian.Uint64(found.appendSlot(nil)), binary.LittleEndian.Uint64([]byte(slotMagic)))
		}
	})
}
