package keyfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sekali/access"
)

// lockPatience is how long an update waits for another process.
const lockPatience = 10 * time.Second

// Update implements access.Store. It makes the directory when it is missing.
// An error means that the file is as it was, except for one that comes after the
// new one was put in its place: of a sync, or of the note in the lock file.
func (f *File) Update(change func(*access.Keys) error) (_ *access.Keys, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	lock, err := f.lock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	current, err := f.load()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path(), err)
	}
	next := *current
	if err := change(&next); err != nil {
		return nil, err
	}
	if err := f.replace(&next); err != nil {
		return nil, fmt.Errorf("write %s: %w", f.Path(), err)
	}
	if err := remember(lock); err != nil {
		return nil, fmt.Errorf("write %s: %w", lock.Name(), err)
	}
	return f.load()
}

// lock takes the lock of those who change the keys; closing the file releases
// it. The file stays: removing it would let two processes lock two of them.
func (f *File) lock() (*os.File, error) {
	file, err := f.create(lockName, os.O_RDWR)
	if errors.Is(err, os.ErrExist) {
		file, err = os.OpenFile(filepath.Join(f.dir, lockName), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		case time.Now().After(deadline):
			return nil, errors.Join(fmt.Errorf("another process has been changing the keys for %s (it holds %s); try again when it has ended", lockPatience, file.Name()), file.Close())
		}
	}
}

// create makes a new file. Root makes it for the owner of the directory, who
// runs the server and must be able to read it; a file that is there already is
// never given away, as it could be a link to one of root's own.
func (f *File) create(name string, mode int) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(f.dir, name), mode|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return file, nil
	}
	dir, err := os.Stat(f.dir)
	if err == nil {
		owner := dir.Sys().(*syscall.Stat_t)
		err = file.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// replace puts the keys on disk in place of the file, whole or not at all.
func (f *File) replace(keys *access.Keys) error {
	text, err := encode(keys)
	if err != nil {
		return err
	}
	if len(text) > maxBytes { // it could not be read any more
		return &access.SpecError{Field: "topic_prefixes", Message: fmt.Sprintf("all keys together would take more than %d MiB; make keys with fewer or shorter prefixes", maxBytes>>20)}
	}
	next := filepath.Join(f.dir, nextName)
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) { // a crash has left it
		return err
	}
	file, err := f.create(nextName, os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, f.Path()); err != nil {
		return err
	}
	return f.syncDir()
}

func (f *File) syncDir() error {
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// remember notes in the lock file, once, that there are keys: without it a lost
// file would look like a server that never had any.
func remember(lock *os.File) error {
	info, err := lock.Stat()
	if err != nil || info.Size() > 0 {
		return err
	}
	_, err = lock.WriteAt([]byte("there are keys in "+Name+"; without that file this one keeps the server from starting\n"), 0)
	return errors.Join(err, lock.Sync())
}
