package sqlite

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir creates dir with mode 0700 and what is missing above it. The new
// names are durable when it returns.
func makeDir(dir string, d disk) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	var parents []string // of new directories
	for path := dir; ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			break
		}
		parents = append(parents, filepath.Dir(path))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	for _, parent := range parents {
		if err := d.SyncDir(parent); err != nil {
			return fmt.Errorf("create the data directory: %w", err)
		}
	}
	return nil
}

// checkFileSystem refuses a file system on which the promise cannot be kept,
// unless it was allowed by its name.
func checkFileSystem(dir, allowed string, log *slog.Logger) error {
	f, err := fileSystemOf(dir)
	if err != nil {
		return err
	}
	return f.check(dir, allowed, log)
}

func (f fileSystem) check(dir, allowed string, log *slog.Logger) error {
	switch {
	case f.refused != "" && f.name != allowed:
		return &FileSystemError{Dir: dir, Name: f.name, reason: f.refused}
	case f.refused != "":
		log.Warn("the data directory is on a file system that was allowed by name", "dir", dir, "file_system", f.name, "reason", f.refused)
	case f.warning != "":
		log.Warn("the data directory is on a special file system", "dir", dir, "file_system", f.name, "reason", f.warning)
	}
	return nil
}

// FileSystemError says that the data directory is on a file system that does
// not keep what it is told to keep.
type FileSystemError struct {
	Dir    string
	Name   string // of its type, as Options.AllowFileSystem takes it
	reason string
}

// Error names the file system and why it is refused.
func (e *FileSystemError) Error() string {
	return fmt.Sprintf("the data directory %s is on a file system of type %s: %s", e.Dir, e.Name, e.reason)
}

const (
	// probeName is a file that is there for a moment only.
	probeName = "sekali.probe"
	// startProbeBytes and fullProbeBytes are what a probe writes: at start, to
	// find a directory that takes nothing; while the disk is full, to find
	// enough room for the next transactions.
	startProbeBytes = 4096
	fullProbeBytes  = 1 << 20
)

// probe writes a file into dir, syncs it, reads it back and removes it.
func probe(dir string, size int, d disk) (err error) {
	path := filepath.Join(dir, probeName)
	f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return probeError(dir, err)
	}
	defer func() {
		if err = errors.Join(err, f.Close(), d.Remove(path)); err != nil {
			err = probeError(dir, err)
		}
	}()
	written, read := make([]byte, size), make([]byte, size)
	_, _ = rand.Read(written) // never fails, as its documentation says
	if _, err := f.WriteAt(written, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := f.ReadAt(read, 0); err != nil {
		return err
	}
	if !bytes.Equal(written, read) {
		return errors.New("what was written and synced is not what is read back")
	}
	return nil
}

// probeError says what to do about a directory that did not take the probe.
func probeError(dir string, err error) error {
	advice := "check the disk and its log messages (dmesg)"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "the disk is full: free space there, or raise the quota"
	case errors.Is(err, fs.ErrPermission):
		advice = "this user may not write there: change the owner of the directory"
	case errors.Is(err, syscall.EROFS):
		advice = "the file system is read-only: after a disk error the kernel makes it so (see dmesg), or it was mounted like that"
	}
	return fmt.Errorf("the data directory %s does not take a file: %w; %s", dir, err, advice)
}
