package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"
)

const lockFile = "LOCK"

// InUseError says that another process has the data directory.
type InUseError struct {
	Dir    string
	Holder string // the holder's own words, "" when it left none
}

// Error names the directory and the holder.
func (e *InUseError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another process"
	}
	return fmt.Sprintf("the data directory %s is in use by %s", e.Dir, holder)
}

// dirLock holds the data directory for this process. The kernel releases it
// when the process ends, however it ends.
type dirLock struct{ file *os.File } // nil where there is nothing to lock

// lockDir takes the lock of dir, or returns an *InUseError at once.
func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, probeError(dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }() // nothing was written through it
		return nil, lockError(dir, f, err)
	}
	host, _ := os.Hostname() // only words for the message
	words := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := errors.Join(f.Truncate(0), writeAt(f, words)); err != nil {
		return nil, errors.Join(probeError(dir, err), f.Close())
	}
	return &dirLock{file: f}, nil
}

// lockError tells the lock of another process from a failure.
func lockError(dir string, f *os.File, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	holder, _ := io.ReadAll(io.LimitReader(f, 512)) // only words for the message
	return &InUseError{Dir: dir, Holder: strings.TrimSpace(string(holder))}
}

// shareDir takes the lock of dir for reading, or returns an *InUseError at once.
// Several readers may have it. Where there is no lock file, no process has ever
// used the directory, and it may be one that cannot be written to.
func shareDir(dir string) (*dirLock, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &dirLock{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }() // nothing was written through it
		return nil, lockError(dir, f, err)
	}
	return &dirLock{file: f}, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// release gives the directory back. The file stays: removing it would let two
// processes lock two files of the same name.
func (l *dirLock) release() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// enableOFD makes the locks of this process belong to open files: with POSIX
// locks, closing any other descriptor of the database file would silently drop
// SQLite's own. Where the kernel has no such locks the library falls back by
// itself.
func enableOFD() error {
	if _, err := sqlite.OFDLocking(true); err != nil && !errors.Is(err, sqlite.ErrOFDLockingUnavailable) {
		return fmt.Errorf("enable OFD locks: %w", err)
	}
	return nil
}
