package crashvfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// exists reports whether the folder has a file of that name; the caller holds
// mu.
func (d *Disk) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(d.dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// File is a file that was opened past SQLite.
type File struct {
	disk *Disk
	name string // in the folder; "" elsewhere: not recorded
	file *os.File
}

// pathError is what the caller is told of an operation that was not done.
func (f *Fault) pathError(k Kind, path string) error {
	if f.Hidden || f.Err == 0 {
		return nil
	}
	return &fs.PathError{Op: k.String(), Path: path, Err: f.Err}
}

// OpenFile is os.OpenFile on the disk. A file that is opened to be emptied is
// emptied by a Truncate of its own.
func (d *Disk) OpenFile(path string, flag int, mode os.FileMode) (*File, error) {
	name := d.inside(path)
	if f := d.ask(Op{Kind: Open, File: name, Direct: true}); f != nil && f.Err != 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: f.Err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	created := name != "" && flag&os.O_CREATE != 0 && !d.exists(name)
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if created {
		d.record(Op{Kind: Create, File: name, Direct: true})
	} else if name != "" && flag&os.O_TRUNC != 0 {
		d.record(Op{Kind: Truncate, File: name, Direct: true})
	}
	return &File{disk: d, name: name, file: file}, nil
}

// change does an operation that changes the disk and records it, unless the hook
// decides otherwise.
func (d *Disk) change(o Op, path string, do func() error) error {
	o.Direct = true
	if f := d.ask(o); f != nil {
		if o.Kind == Sync {
			d.syncFailed(o, f)
		}
		return f.pathError(o.Kind, path)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	if o.File != "" || o.Kind == SyncDir {
		d.record(o)
	}
	return nil
}

// Rename is os.Rename within the folder.
func (d *Disk) Rename(from, to string) error {
	o := Op{Kind: Rename, File: d.inside(from), To: d.inside(to)}
	return d.change(o, from, func() error { return os.Rename(from, to) })
}

// Remove is os.Remove.
func (d *Disk) Remove(path string) error {
	return d.change(Op{Kind: Delete, File: d.inside(path)}, path, func() error { return os.Remove(path) })
}

// SyncDir makes the names in the folder durable; of another folder it does
// nothing.
func (d *Disk) SyncDir(dir string) error {
	if filepath.Clean(dir) != d.dir {
		return nil
	}
	return d.change(Op{Kind: SyncDir}, dir, func() error { return nil })
}

// ReadAt is that of os.File.
func (f *File) ReadAt(b []byte, off int64) (int, error) {
	o := Op{Kind: Read, File: f.name, Off: off, Size: len(b), Direct: true}
	if fault := f.disk.ask(o); fault != nil && fault.Err != 0 {
		return 0, &fs.PathError{Op: "read", Path: f.file.Name(), Err: fault.Err}
	}
	return f.file.ReadAt(b, off)
}

// WriteAt is that of os.File.
func (f *File) WriteAt(b []byte, off int64) (int, error) {
	d, whole := f.disk, b
	fault := d.ask(Op{Kind: Write, File: f.name, Off: off, Size: len(b), Direct: true})
	if fault != nil {
		whole = b[:min(len(b), fault.Part)]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := f.file.WriteAt(whole, off)
	if n > 0 {
		d.recordWrite(f.name, off, whole[:n], true)
	}
	if err != nil || fault == nil {
		return n, err
	}
	if err := fault.pathError(Write, f.file.Name()); err != nil {
		return n, err
	}
	return len(b), nil
}

// Truncate is that of os.File.
func (f *File) Truncate(size int64) error {
	o := Op{Kind: Truncate, File: f.name, Off: size}
	return f.disk.change(o, f.file.Name(), func() error { return f.file.Truncate(size) })
}

// Sync makes what was written to the file before durable.
func (f *File) Sync() error {
	return f.disk.change(Op{Kind: Sync, File: f.name}, f.file.Name(), f.file.Sync)
}

// WriteBack starts writing to the disk and makes nothing durable: it only asks
// the hook. When that makes it fail, what was written before is uncertain for
// good, as after a sync that failed.
func (f *File) WriteBack() error {
	o := Op{Kind: WriteBack, File: f.name, Direct: true}
	if fault := f.disk.ask(o); fault != nil {
		failed := o
		failed.Kind = Sync
		f.disk.syncFailed(failed, fault)
		return fault.pathError(WriteBack, f.file.Name())
	}
	return nil
}

// Stat is that of os.File.
func (f *File) Stat() (os.FileInfo, error) {
	if fault := f.disk.ask(Op{Kind: Size, File: f.name, Direct: true}); fault != nil && fault.Err != 0 {
		return nil, &fs.PathError{Op: "stat", Path: f.file.Name(), Err: fault.Err}
	}
	return f.file.Stat()
}

// Close is that of os.File; it makes nothing durable.
func (f *File) Close() error { return f.file.Close() }
