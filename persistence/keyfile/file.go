package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"sekali/access"
)

// The names in the data directory.
const (
	Name     = "keys.json"
	lockName = "keys.lock"
	nextName = "keys.json.next" // the file while it is being written
)

// maxBytes bounds what is read; access.MaxKeys of usual keys take less.
const maxBytes = 64 << 20

// File is the file of keys of one data directory. It is safe for use by many
// goroutines and by many processes.
type File struct {
	dir string

	mu   sync.Mutex
	keys *access.Keys // what was read last, nil after an error
	info fs.FileInfo  // of the file that it was read from, nil for no file
}

var _ access.Store = (*File)(nil)

// New returns the file of a data directory, which need not exist yet. Nothing
// is opened.
func New(dir string) *File { return &File{dir: dir} }

// Path returns where the keys are.
func (f *File) Path() string { return filepath.Join(f.dir, Name) }

// Load implements access.Store. It costs one or two calls of the system while
// nothing changes. No file means no keys, unless there were some.
func (f *File) Load() (*access.Keys, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	keys, err := f.load()
	if err != nil {
		f.keys = nil
		return nil, fmt.Errorf("%s: %w", f.Path(), err)
	}
	return keys, nil
}

func (f *File) load() (_ *access.Keys, err error) {
	file, err := os.OpenFile(f.Path(), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0) // a pipe must not hold the server up
	if errors.Is(err, fs.ErrNotExist) {
		return f.absent()
	}
	if err != nil {
		return nil, unwrapPath(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := trustworthy(file)
	if err != nil {
		return nil, err
	}
	if f.keys != nil && f.info != nil && same(f.info, info) {
		return f.keys, nil
	}
	text, err := io.ReadAll(io.LimitReader(file, maxBytes))
	if err != nil {
		return nil, unwrapPath(err)
	}
	keys, err := decode(text)
	if err != nil {
		return nil, err
	}
	f.keys, f.info = keys, info
	return keys, nil
}

// absent is what to make of a missing file.
func (f *File) absent() (*access.Keys, error) {
	lock, err := os.Stat(filepath.Join(f.dir, lockName))
	switch {
	case err == nil && lock.Size() > 0:
		return nil, fmt.Errorf("it is missing although there were keys; restore it from a backup, or remove %s too to begin without keys", lockName)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, unwrapPath(err)
	}
	if f.keys == nil || f.info != nil {
		f.keys, f.info = &access.Keys{}, nil
	}
	return f.keys, nil
}

// same tells the contents of two files apart without reading them: the file is
// replaced, never written to.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// trustworthy refuses a file that others on the machine could have written.
func trustworthy(file *os.File) (fs.FileInfo, error) {
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, unwrapPath(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("its mode %#o lets everybody on this machine at the keys; see that all of them are yours, then: chmod 600 %s", info.Mode().Perm(), file.Name())
	}
	return info, nil
}

// unwrapPath leaves the path out: it is said already.
func unwrapPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
