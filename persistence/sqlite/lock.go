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
// when the process ends, however it ends. It is on the directory itself, too:
// people remove a lock file that stands in their way, and then two servers would
// write to one log.
type dirLock struct {
	file *os.File // nil where there is no lock file
	dir  *os.File
}

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
	itself, err := lockItself(dir, syscall.LOCK_EX)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	host, _ := os.Hostname() // only words for the message
	words := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := errors.Join(f.Truncate(0), writeAt(f, words)); err != nil {
		return nil, errors.Join(probeError(dir, err), f.Close(), itself.Close())
	}
	return &dirLock{file: f, dir: itself}, nil
}

// lockItself locks the directory as such, which nobody can remove while it is
// in use. Where its file system locks no directories the lock file has to do.
func lockItself(dir string, how int) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	err = syscall.Flock(int(d.Fd()), how|syscall.LOCK_NB)
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return d, nil
	}
	return nil, errors.Join(&InUseError{Dir: dir, Holder: "another process, whose lock file was removed"}, d.Close())
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
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f = nil
	case err != nil:
		return nil, fmt.Errorf("open the lock file: %w", err)
	default:
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
			defer func() { _ = f.Close() }() // nothing was written through it
			return nil, lockError(dir, f, err)
		}
	}
	itself, err := lockItself(dir, syscall.LOCK_SH)
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, err
	}
	return &dirLock{file: f, dir: itself}, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// release gives the directory back. The file stays: removing it would let two
// processes lock two files of the same name.
func (l *dirLock) release() error {
	if l.file == nil {
		return l.dir.Close()
	}
	return errors.Join(l.file.Close(), l.dir.Close())
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
