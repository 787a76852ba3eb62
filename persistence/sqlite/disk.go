package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"

	"sekali/persistence/writeback"
)

// disk is what the store does to the files of the data directory past SQLite.
// Whatever must be on the disk for the promise to hold goes through it or
// through the VFS, so that tests can record both, and make them fail.
type disk interface {
	// OpenFile is os.OpenFile.
	OpenFile(path string, flag int, mode os.FileMode) (diskFile, error)
	// Rename is os.Rename; the new name is durable after SyncDir.
	Rename(from, to string) error
	// Remove is os.Remove.
	Remove(path string) error
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
}

// diskFile is an open file of a disk.
type diskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate cuts the file off, or fills it with zeros, at size bytes.
	Truncate(size int64) error
	// WriteBack waits until the disk has what was written; it makes nothing
	// durable.
	WriteBack() error
	// Sync makes everything that was written to the file durable.
	Sync() error
	Stat() (os.FileInfo, error)
}

// realDisk is the disk of the operating system.
type realDisk struct{}

func (realDisk) OpenFile(path string, flag int, mode os.FileMode) (diskFile, error) {
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err // not a nil *os.File within an interface
	}
	return realFile{f}, nil
}

func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) Remove(path string) error     { return os.Remove(path) }

func (realDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

type realFile struct{ *os.File }

func (f realFile) WriteBack() error { return writeback.Range(f.File, 0, 0) }
