package apptest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFault12OtherUsersOfTheMachineCannotReadTheData: also in a directory that
// is open to all, whoever made it.
func TestFault12OtherUsersOfTheMachineCannotReadTheData(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	s := startServer(t, dir)
	s.publish(event("private", "secret-event"))
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files++
		require.Zero(t, info.Mode().Perm()&0o077, "%s is %s", path, info.Mode())
		return nil
	}))
	require.GreaterOrEqual(t, files, 3)
	require.Nil(t, findLine(s.stderr.String(), readersWarning))
}

const readersWarning = "every user of this machine may read the events; take the rights of others away with chmod -R o= on the data directory"

// TestADatabaseThatEverybodyMayReadIsWarnedOf is about those of earlier
// versions, and the control of the test above.
func TestADatabaseThatEverybodyMayReadIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	s := startServer(t, dir)
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.wait())
	require.NoError(t, os.Chmod(filepath.Join(dir, "sekali.db"), 0o644))
	again := startServer(t, dir)
	again.logLine(readersWarning)
}
