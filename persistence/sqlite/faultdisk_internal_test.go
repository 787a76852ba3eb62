package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/persistence/crashvfs"
)

// crashDisk is the disk of the store under test: everything is recorded.
type crashDisk struct{ *crashvfs.Disk }

// OpenFile hides that a crashvfs.File is a type of its own.
func (d crashDisk) OpenFile(path string, flag int, mode os.FileMode) (diskFile, error) {
	f, err := d.Disk.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err // not a nil *File within an interface
	}
	return f, nil
}

// memoryDir is a folder in memory where there is one: these tests open and close
// thousands of stores and care for no real disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "sekali-fault-") //nolint:usetesting // t.TempDir is on a disk
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// newCrashDisk makes a disk of dir, which ends with the test.
func newCrashDisk(t testing.TB, dir string) *crashvfs.Disk {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	d, err := crashvfs.New(dir)
	require.NoError(t, err)
	return d
}

// on returns the options of a store on a recording disk.
func (o Options) on(d *crashvfs.Disk) Options {
	o.disk, o.vfs = crashDisk{d}, d.Name()
	return o
}

// walName is the file of the log.
const walName = databaseFile + "-wal"

// faultOptions are those of all stores of the fault tests: few connections,
// because they are opened thousands of times, small generations, so that a few
// hundred rows make segments and merges, and no checkpointer, so that what is done
// follows from the seed. A disk that was full is looked at often.
func faultOptions(d Durability) Options {
	return Options{Durability: d, Readers: 1, generationRows: 32, manual: true, watchEvery: 20 * time.Millisecond}
}

// indexImage is what the index folder holds now. What goes while it is read is
// left out: that is a state it was in, too.
func indexImage(dir string) crashvfs.Image {
	image := crashvfs.Image{}
	entries, _ := os.ReadDir(filepath.Join(dir, indexFolder)) // none is fine
	for _, e := range entries {
		if content, err := os.ReadFile(filepath.Join(dir, indexFolder, e.Name())); err == nil {
			image[e.Name()] = content
		}
	}
	return image
}
