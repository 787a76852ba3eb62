package crashvfs

import (
	"errors"
	"fmt"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// register makes the VFS of the disk known to SQLite: the default one with some
// of its methods replaced.
func (d *Disk) register() error {
	t := libc.NewTLS()
	defer t.Close()
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.base == 0 {
		if registry.base = sqlite3.Xsqlite3_vfs_find(t, 0); registry.base == 0 {
			return errors.New("crashvfs: SQLite has no VFS")
		}
		registry.methods = newMethods(t)
	}
	name, err := libc.CString(d.name)
	if err != nil {
		return fmt.Errorf("crashvfs: %w", err)
	}
	vfs := libc.Xmalloc(t, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	table := at[sqlite3.Tsqlite3_vfs](vfs)
	*table = *at[sqlite3.Tsqlite3_vfs](registry.base)
	table.FszOsFile += int32(fileHeadSize)
	table.FpNext, table.FzName = 0, name
	table.FxOpen, table.FxDelete, table.FxAccess = address(vfsOpen), address(vfsDelete), address(vfsAccess)
	if rc := sqlite3.Xsqlite3_vfs_register(t, vfs, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("crashvfs: register %s: SQLite code %d", d.name, rc)
	}
	d.vfs = vfs
	registry.vfs[vfs] = d
	return nil
}

// Close takes the VFS from SQLite. No file may be open through it any more.
func (d *Disk) Close() error {
	t := libc.NewTLS()
	defer t.Close()
	registry.mu.Lock()
	defer registry.mu.Unlock()
	for _, f := range registry.files {
		if f.disk == d {
			return fmt.Errorf("crashvfs: %s is still open through %s", f.name, d.name)
		}
	}
	if rc := sqlite3.Xsqlite3_vfs_unregister(t, d.vfs); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("crashvfs: unregister %s: SQLite code %d", d.name, rc)
	}
	delete(registry.vfs, d.vfs)
	libc.Xfree(t, at[sqlite3.Tsqlite3_vfs](d.vfs).FzName)
	libc.Xfree(t, d.vfs)
	return nil
}

func vfsOpen(t *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32 {
	d, base := diskOf(vfs)
	head := at[fileHead](file)
	head.methods = 0 // SQLite closes nothing that has none
	name := ""
	if path != 0 {
		name = d.inside(libc.GoString(path))
	}
	if f := d.ask(Op{Kind: Open, File: name}); f != nil && f.Err != 0 {
		return sqliteCode(Open, f.Err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	created := name != "" && flags&sqlite3.SQLITE_OPEN_CREATE != 0 && !d.exists(name)
	if rc := function[openMethod](base.FxOpen)(t, registry.base, path, file+fileHeadSize, flags, outFlags); rc != sqlite3.SQLITE_OK {
		return rc
	}
	const log = sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_SUPER_JOURNAL | sqlite3.SQLITE_OPEN_WAL
	head.id = addFile(&openFile{disk: d, name: name, syncsDir: flags&log != 0 && flags&sqlite3.SQLITE_OPEN_CREATE != 0})
	head.methods = registry.methods
	if created {
		d.record(Op{Kind: Create, File: name})
	}
	return sqlite3.SQLITE_OK
}

func vfsDelete(t *libc.TLS, vfs, path uintptr, syncDir int32) int32 {
	d, base := diskOf(vfs)
	name := d.inside(libc.GoString(path))
	if f := d.ask(Op{Kind: Delete, File: name}); f != nil {
		return f.code(Delete)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	existed := name != "" && d.exists(name)
	if rc := function[deleteMethod](base.FxDelete)(t, registry.base, path, syncDir); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if existed {
		d.record(Op{Kind: Delete, File: name})
		if syncDir != 0 {
			d.record(Op{Kind: SyncDir})
		}
	}
	return sqlite3.SQLITE_OK
}

func vfsAccess(t *libc.TLS, vfs, path uintptr, flags int32, out uintptr) int32 {
	d, base := diskOf(vfs)
	if f := d.ask(Op{Kind: Exists, File: d.inside(libc.GoString(path))}); f != nil && f.Err != 0 {
		return sqliteCode(Exists, f.Err)
	}
	return function[accessMethod](base.FxAccess)(t, registry.base, path, flags, out)
}

// code is what SQLite is told of an operation that was not done.
func (f *Fault) code(k Kind) int32 {
	if f.Hidden || f.Err == 0 {
		return sqlite3.SQLITE_OK
	}
	return sqliteCode(k, f.Err)
}
