package crashvfs

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// Disk records what is done to the files of one folder, by SQLite through the
// VFS called Name and by others through OpenFile and its like. What happens in
// the folders below is not recorded.
type Disk struct {
	dir  string
	name string
	vfs  uintptr // the sqlite3_vfs

	hook atomic.Pointer[Hook]

	mu  sync.Mutex // held over an operation and its record, so that their orders agree
	ops []Op
}

var disks atomic.Int64 // ever made, for their names

// New makes a disk of the folder dir, which must exist and be named by its
// absolute path, and registers its VFS. What is in dir counts as durable.
func New(dir string) (*Disk, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("crashvfs: %s is not an absolute path", dir)
	}
	d := &Disk{dir: filepath.Clean(dir), name: fmt.Sprintf("crash-%d", disks.Add(1))}
	if err := d.register(); err != nil {
		return nil, err
	}
	return d, nil
}

// Name is what the parameter vfs of a DSN says to use this disk.
func (d *Disk) Name() string { return d.name }

// SetHook has every operation from now on decided by h; nil: all are done.
func (d *Disk) SetHook(h Hook) {
	if h == nil {
		d.hook.Store(nil)
		return
	}
	d.hook.Store(&h)
}

// Mark notes n between the operations: what was done before it was done before
// the note.
func (d *Disk) Mark(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = append(d.ops, Op{Kind: Mark, Note: n})
}

// Ops returns what has been recorded so far. The caller must not change it.
func (d *Disk) Ops() []Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clip(d.ops)
}

// ask returns what the hook makes of o.
func (d *Disk) ask(o Op) *Fault {
	h := d.hook.Load()
	if h == nil {
		return nil
	}
	return (*h)(o)
}

// record adds o; the caller holds mu.
func (d *Disk) record(o Op) { d.ops = append(d.ops, o) }

// inside returns the name of path in the folder, "" when it is elsewhere.
func (d *Disk) inside(path string) string {
	dir, file := filepath.Split(path)
	if filepath.Clean(dir) != d.dir {
		return ""
	}
	return file
}
