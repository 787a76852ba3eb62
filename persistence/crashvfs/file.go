package crashvfs

import (
	"slices"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// newMethods makes the table of what SQLite does to an open file. It is of
// version 2, without memory maps: nothing gets past the record.
func newMethods(t *libc.TLS) uintptr {
	table := libc.Xmalloc(t, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	*at[sqlite3.Tsqlite3_io_methods](table) = sqlite3.Tsqlite3_io_methods{
		FiVersion: 2,
		FxClose:   address(fileClose), FxRead: address(fileRead), FxWrite: address(fileWrite),
		FxTruncate: address(fileTruncate), FxSync: address(fileSync), FxFileSize: address(fileSize),
		FxLock: address(fileLock), FxUnlock: address(fileUnlock), FxCheckReservedLock: address(fileCheckReservedLock),
		FxFileControl: address(fileControl), FxSectorSize: address(fileSectorSize),
		FxDeviceCharacteristics: address(fileDeviceCharacteristics),
		FxShmMap:                address(fileShmMap), FxShmLock: address(fileShmLock),
		FxShmBarrier: address(fileShmBarrier), FxShmUnmap: address(fileShmUnmap),
	}
	return table
}

func fileClose(t *libc.TLS, file uintptr) int32 {
	_, real, methods := fileAt(file)
	removeFile(at[fileHead](file).id)
	return function[fileMethod](methods.FxClose)(t, real)
}

func fileRead(t *libc.TLS, file, buffer uintptr, n int32, off int64) int32 {
	f, real, methods := fileAt(file)
	if fault := f.disk.ask(Op{Kind: Read, File: f.name, Off: off, Size: int(n)}); fault != nil && fault.Err != 0 {
		return sqliteCode(Read, fault.Err)
	}
	return function[transferMethod](methods.FxRead)(t, real, buffer, n, off)
}

func fileWrite(t *libc.TLS, file, buffer uintptr, n int32, off int64) int32 {
	f, real, methods := fileAt(file)
	d, whole := f.disk, n
	fault := d.ask(Op{Kind: Write, File: f.name, Off: off, Size: int(n)})
	if fault != nil {
		whole = int32(min(int(n), fault.Part))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if whole > 0 {
		if rc := function[transferMethod](methods.FxWrite)(t, real, buffer, whole, off); rc != sqlite3.SQLITE_OK {
			return rc
		}
		d.recordWrite(f.name, off, bytesAt(buffer, whole), false)
	}
	if fault != nil {
		return fault.code(Write)
	}
	return sqlite3.SQLITE_OK
}

// recordWrite adds a write of b, which it copies; the caller holds mu.
func (d *Disk) recordWrite(name string, off int64, b []byte, direct bool) {
	if name != "" {
		d.record(Op{Kind: Write, File: name, Off: off, Size: len(b), Data: slices.Clone(b), Direct: direct})
	}
}

func fileTruncate(t *libc.TLS, file uintptr, size int64) int32 {
	f, real, methods := fileAt(file)
	d, o := f.disk, Op{Kind: Truncate, File: f.name, Off: size}
	if fault := d.ask(o); fault != nil {
		return fault.code(Truncate)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	rc := function[truncateMethod](methods.FxTruncate)(t, real, size)
	if rc == sqlite3.SQLITE_OK && f.name != "" {
		d.record(o)
	}
	return rc
}

func fileSync(t *libc.TLS, file uintptr, flags int32) int32 {
	f, real, methods := fileAt(file)
	d, o := f.disk, Op{Kind: Sync, File: f.name}
	if fault := d.ask(o); fault != nil {
		d.syncFailed(o, fault)
		return fault.code(Sync)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if rc := function[fileFlagMethod](methods.FxSync)(t, real, flags); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if f.name != "" {
		d.record(o)
		if f.syncsDir {
			d.record(Op{Kind: SyncDir})
			f.syncsDir = false
		}
	}
	return sqlite3.SQLITE_OK
}

// syncFailed records a sync that the hook made fail. One that was only left out
// leaves no trace: a later one makes up for it.
func (d *Disk) syncFailed(o Op, fault *Fault) {
	if fault.Err == 0 || o.File == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Failed = true
	d.record(o)
}

func fileSize(t *libc.TLS, file, out uintptr) int32 {
	f, real, methods := fileAt(file)
	if fault := f.disk.ask(Op{Kind: Size, File: f.name}); fault != nil && fault.Err != 0 {
		return sqliteCode(Size, fault.Err)
	}
	return function[fileOutMethod](methods.FxFileSize)(t, real, out)
}

func fileLock(t *libc.TLS, file uintptr, level int32) int32 {
	f, real, methods := fileAt(file)
	if fault := f.disk.ask(Op{Kind: Lock, File: f.name}); fault != nil && fault.Err != 0 {
		return sqliteCode(Lock, fault.Err)
	}
	return function[fileFlagMethod](methods.FxLock)(t, real, level)
}

func fileUnlock(t *libc.TLS, file uintptr, level int32) int32 {
	_, real, methods := fileAt(file)
	return function[fileFlagMethod](methods.FxUnlock)(t, real, level)
}

func fileCheckReservedLock(t *libc.TLS, file, out uintptr) int32 {
	_, real, methods := fileAt(file)
	return function[fileOutMethod](methods.FxCheckReservedLock)(t, real, out)
}

func fileControl(t *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	_, real, methods := fileAt(file)
	return function[controlMethod](methods.FxFileControl)(t, real, op, arg)
}

func fileSectorSize(t *libc.TLS, file uintptr) int32 {
	_, real, methods := fileAt(file)
	return function[fileMethod](methods.FxSectorSize)(t, real)
}

func fileDeviceCharacteristics(t *libc.TLS, file uintptr) int32 {
	_, real, methods := fileAt(file)
	return function[fileMethod](methods.FxDeviceCharacteristics)(t, real)
}

func fileShmMap(t *libc.TLS, file uintptr, region, size, extend int32, out uintptr) int32 {
	f, real, methods := fileAt(file)
	if fault := f.disk.ask(Op{Kind: MapShared, File: f.name}); fault != nil && fault.Err != 0 {
		*at[uintptr](out) = 0
		return sqliteCode(MapShared, fault.Err)
	}
	return function[mapSharedMethod](methods.FxShmMap)(t, real, region, size, extend, out)
}

func fileShmLock(t *libc.TLS, file uintptr, off, n, flags int32) int32 {
	f, real, methods := fileAt(file)
	if flags&sqlite3.SQLITE_SHM_LOCK != 0 {
		if fault := f.disk.ask(Op{Kind: LockShared, File: f.name}); fault != nil && fault.Err != 0 {
			return sqliteCode(LockShared, fault.Err)
		}
	}
	return function[lockSharedFunc](methods.FxShmLock)(t, real, off, n, flags)
}

func fileShmBarrier(t *libc.TLS, file uintptr) {
	_, real, methods := fileAt(file)
	function[barrierMethod](methods.FxShmBarrier)(t, real)
}

func fileShmUnmap(t *libc.TLS, file uintptr, remove int32) int32 {
	_, real, methods := fileAt(file)
	return function[fileFlagMethod](methods.FxShmUnmap)(t, real, remove)
}
