package crashvfs

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The translated SQLite calls a VFS by tables of addresses of Go functions that
// have the signatures of the C ones, and hands it memory of its own heap, which
// the collector does not move. This file has what turns the one into the other.

// at is the T at an address in SQLite's memory.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// bytesAt is the n bytes at an address in SQLite's memory.
func bytesAt(address uintptr, n int32) []byte { return unsafe.Slice(at[byte](address), n) }

// address is that of a function of the package, as SQLite wants it in a table.
func address(f any) uintptr {
	type word [2]uintptr
	return (*word)(unsafe.Pointer(&f))[1]
}

// function is the Go function at an address from one of SQLite's tables.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

// The signatures of the methods that are called through tables.
type (
	fileMethod      = func(t *libc.TLS, file uintptr) int32
	fileFlagMethod  = func(t *libc.TLS, file uintptr, flag int32) int32
	fileOutMethod   = func(t *libc.TLS, file, out uintptr) int32
	transferMethod  = func(t *libc.TLS, file, buffer uintptr, n int32, off int64) int32
	truncateMethod  = func(t *libc.TLS, file uintptr, size int64) int32
	controlMethod   = func(t *libc.TLS, file uintptr, op int32, arg uintptr) int32
	mapSharedMethod = func(t *libc.TLS, file uintptr, region, size, extend int32, out uintptr) int32
	lockSharedFunc  = func(t *libc.TLS, file uintptr, off, n, flags int32) int32
	barrierMethod   = func(t *libc.TLS, file uintptr)
	openMethod      = func(t *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32
	deleteMethod    = func(t *libc.TLS, vfs, path uintptr, syncDir int32) int32
	accessMethod    = func(t *libc.TLS, vfs, path uintptr, flags int32, out uintptr) int32
)

// fileHead is our part of a sqlite3_file; that of the real VFS follows.
type fileHead struct {
	methods uintptr // SQLite's own field
	id      uintptr // of an openFile
}

const fileHeadSize = unsafe.Sizeof(fileHead{})

// openFile is what we know of a file that SQLite has open.
type openFile struct {
	disk *Disk
	name string // in the folder; "" for a file that is not recorded
	// syncsDir says that the first sync makes the name durable, too, as
	// SQLite's own VFS does for journals and WALs that it created.
	syncsDir bool
}

// registry finds what belongs to the numbers and addresses that SQLite gives back.
var registry = struct {
	mu     sync.RWMutex
	files  map[uintptr]*openFile
	nextID uintptr
	vfs    map[uintptr]*Disk
	// The VFS below all disks and the table of our methods, made once.
	base, methods uintptr
}{files: make(map[uintptr]*openFile), vfs: make(map[uintptr]*Disk)}

func addFile(f *openFile) uintptr {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.nextID++
	registry.files[registry.nextID] = f
	return registry.nextID
}

func removeFile(id uintptr) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	delete(registry.files, id)
}

// fileAt returns what we know of a file, the address of the real VFS' part of
// it, and the real methods.
func fileAt(file uintptr) (*openFile, uintptr, *sqlite3.Tsqlite3_io_methods) {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	real := file + fileHeadSize
	return registry.files[at[fileHead](file).id], real, at[sqlite3.Tsqlite3_io_methods](*at[uintptr](real))
}

func diskOf(vfs uintptr) (d *Disk, base *sqlite3.Tsqlite3_vfs) {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return registry.vfs[vfs], at[sqlite3.Tsqlite3_vfs](registry.base)
}
