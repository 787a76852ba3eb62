package sqlite

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/persistence/crashvfs"
)

// TestALogThatWasNotClosedIsWrittenAgainAndSyncedBeforeItIsUsed: that it has to
// be is what TestFault04IOErrorsStopTheStoreOrAreSaid found.
func TestALogThatWasNotClosedIsWrittenAgainAndSyncedBeforeItIsUsed(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	s := openTest(t, dir, faultOptions(Durable))
	mustAppend(t, s, batchOf("t", 0, 2, rewriteBytes))
	files, err := crashvfs.ReadImage(dir)
	require.NoError(t, err)
	require.NoError(t, files.Write(killed))
	report, err := auditLog(killed)
	require.NoError(t, err)
	require.Greater(t, report.validBytes(), int64(2*rewriteBytes))

	d := newCrashDisk(t, killed)
	s, err = Open(t.Context(), killed, faultOptions(Durable).on(d))
	require.NoError(t, err)
	requireUnique(t, s, 2)
	require.NoError(t, s.Close())
	require.NoError(t, d.Close())

	ops := slices.DeleteFunc(slices.Clone(d.Ops()), func(o crashvfs.Op) bool { return o.File != databaseFile && o.File != walName })
	synced := slices.IndexFunc(ops, func(o crashvfs.Op) bool { return o.Kind == crashvfs.Sync })
	require.Equal(t, crashvfs.Op{Kind: crashvfs.Sync, File: walName, Direct: true}, ops[synced])
	var log []byte
	for _, o := range ops[:synced] {
		require.Equal(t, []any{crashvfs.Write, walName, true}, []any{o.Kind, o.File, o.Direct}, "the database is not touched before")
		require.EqualValues(t, len(log), o.Off)
		log = append(log, o.Data...)
	}
	require.Equal(t, files[walName][:report.validBytes()], log)
}
