package sqlite

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

func TestAFileSystemThatCannotKeepThePromiseIsRefusedByName(t *testing.T) {
	var refused *FileSystemError
	for _, f := range fileSystems {
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		err := f.check("/data", "", log)
		if f.refused == "" {
			require.NoError(t, err, f.name)
			require.Contains(t, said.String(), "file_system="+f.name, "it is warned of")
			continue
		}
		require.ErrorAs(t, err, &refused, f.name)
		require.Equal(t, f.name, refused.Name)
		require.ErrorContains(t, err, "/data is on a file system of type "+f.name)
		require.ErrorAs(t, f.check("/data", "another", log), &refused)
		require.Empty(t, said.String())
		require.NoError(t, f.check("/data", f.name, log))
		require.Contains(t, said.String(), "allowed by name")
	}
	require.NoError(t, fileSystem{}.check("/data", "", slog.New(slog.DiscardHandler)), "what is not known is taken")
	require.Equal(t, "nfs", fileSystems[0x6969].name)
	require.NotEmpty(t, fileSystems[0x6969].refused)
}

func TestATmpfsIsKnown(t *testing.T) {
	f, err := fileSystemOf("/dev/shm")
	if errors.Is(err, fs.ErrNotExist) || f.name != "tmpfs" {
		t.Skip("/dev/shm is no tmpfs here")
	}
	require.NoError(t, err)
	require.NotEmpty(t, f.warning)
	_, err = fileSystemOf(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestADirectoryThatDoesNotKeepAFileIsRefused has every operation of the probe
// fail in turn.
func TestADirectoryThatDoesNotKeepAFileIsRefused(t *testing.T) {
	for _, tc := range []struct {
		operation string
		err       error
		advice    string
	}{
		{"open", syscall.EACCES, "change the owner of the directory"},
		{"open", syscall.EROFS, "the file system is read-only"},
		{"write", syscall.ENOSPC, "free space"},
		{"write", syscall.EDQUOT, "raise the quota"},
		{"write", syscall.EIO, "check the disk"},
		{"sync", syscall.EIO, "check the disk"},
	} {
		dir := t.TempDir()
		d := testDisk{before: func(operation, path string, _ []byte) error {
			if operation == tc.operation && filepath.Base(path) == probeName {
				return tc.err
			}
			return nil
		}}
		_, err := Open(t.Context(), dir, Options{disk: d})
		require.ErrorIs(t, err, tc.err)
		require.ErrorContains(t, err, tc.advice)
		require.ErrorContains(t, err, dir)
		require.NoFileExists(t, filepath.Join(dir, databaseFile), "nothing was begun")
		require.NoFileExists(t, filepath.Join(dir, probeName))
	}
}

// lyingFile gives back something else than was written to it.
type lyingDisk struct{ realDisk }

type lyingFile struct{ diskFile }

func (d lyingDisk) OpenFile(path string, flag int, mode os.FileMode) (diskFile, error) {
	f, err := d.realDisk.OpenFile(path, flag, mode)
	return lyingFile{f}, err
}

func (f lyingFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.diskFile.ReadAt(b, at)
	b[0]++
	return n, err
}

func TestADiskThatGivesBackSomethingElseIsRefused(t *testing.T) {
	require.NoError(t, probe(t.TempDir(), startProbeBytes, realDisk{}), "the control")
	require.ErrorContains(t, probe(t.TempDir(), startProbeBytes, lyingDisk{}), "is not what is read back")
}

func TestAReadOnlyFileSystemIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		prove.Skip(t, "mount", "mount a tmpfs: "+err.Error())
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	_, err := Open(t.Context(), dir, Options{})
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, "the file system is read-only")
}

// TestTheNamesOfANewStoreAreSynced: without it a loss of power may take the
// whole directory.
func TestTheNamesOfANewStoreAreSynced(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b")
	var synced []string
	d := testDisk{before: func(operation, path string, _ []byte) error {
		if operation == "syncdir" {
			if path == dir {
				require.FileExists(t, filepath.Join(dir, databaseFile))
			}
			synced = append(synced, path)
		}
		return nil
	}}
	s := openTest(t, dir, Options{disk: d})
	require.Equal(t, []string{filepath.Join(root, "a"), root, dir, dir}, synced)
	require.NoError(t, s.Close())
	synced = nil
	openTest(t, dir, Options{disk: d})
	require.Equal(t, []string{dir}, slices.Compact(synced), "what was there needs none")
}
