package crashvfs

import (
	"fmt"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"
)

// Kind is what an operation does.
type Kind int

// The kinds of operations. Only those up to Mark are recorded; all but Mark and
// Create are shown to the hook.
const (
	Write    Kind = iota
	Truncate      // to Off bytes, which may be more than there are
	Sync          // makes what was written to the file before it durable
	Create        // the name of a file that did not exist
	Delete
	Rename  // File becomes To
	SyncDir // makes Create, Delete and Rename durable
	Mark    // a note of the test, in Note

	Open
	Read
	WriteBack // starts writing to the disk and promises nothing
	Size
	Lock
	Exists
	MapShared  // grows the shared memory of the WAL's index
	LockShared // a lock in the shared memory
)

var kindNames = [...]string{
	"write", "truncate", "sync", "create", "delete", "rename", "sync-dir", "mark",
	"open", "read", "write-back", "size", "lock", "exists", "map-shared", "lock-shared",
}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Op is one operation on a file of the folder.
type Op struct {
	Kind Kind
	File string // its name in the folder
	To   string // Rename: the new name
	Off  int64  // Write, Read: the position; Truncate: the size
	Size int    // Write, Read: bytes
	Data []byte // Write, when recorded: what was written; not to be changed
	Note int    // Mark: the number that the test gave
	// Failed is of a Sync that failed: what was written before is uncertain
	// for good.
	Failed bool
	// Direct says that the operation was not SQLite's own.
	Direct bool
}

// String tells the operation without its content.
func (o Op) String() string {
	switch o.Kind {
	case Write, Read:
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.File, o.Off, o.Size)
	case Truncate:
		return fmt.Sprintf("%s %s to %d", o.Kind, o.File, o.Off)
	case Rename:
		return fmt.Sprintf("%s %s to %s", o.Kind, o.File, o.To)
	case Mark:
		return fmt.Sprintf("mark %d", o.Note)
	default:
		return fmt.Sprintf("%s %s", o.Kind, o.File)
	}
}

// Fault is what becomes of an operation instead of being done.
type Fault struct {
	// Err is what happens: EIO, ENOSPC or another errno. 0: nothing is done.
	Err syscall.Errno
	// Hidden keeps Err from the caller, who is told that all went well: a
	// disk that lies, or a program that tried again and believed the second
	// answer.
	Hidden bool
	// Part is how many bytes of a Write reach the file before it fails.
	Part int
}

// Hook decides what becomes of an operation before it is done: nil lets it
// through. It is called without locks, by the goroutine that asks for the
// operation, and may itself use the store.
type Hook func(Op) *Fault

// sqliteCode is what SQLite's own VFS returns when an operation of kind k ends
// with errno.
func sqliteCode(k Kind, errno syscall.Errno) int32 {
	full := errno == syscall.ENOSPC || errno == syscall.EDQUOT
	switch k {
	case Write:
		if full {
			return sqlite3.SQLITE_FULL
		}
		return sqlite3.SQLITE_IOERR_WRITE
	case Read:
		return sqlite3.SQLITE_IOERR_READ
	case Truncate:
		return sqlite3.SQLITE_IOERR_TRUNCATE
	case Sync:
		return sqlite3.SQLITE_IOERR_FSYNC
	case SyncDir:
		return sqlite3.SQLITE_IOERR_DIR_FSYNC
	case Delete:
		return sqlite3.SQLITE_IOERR_DELETE
	case Open:
		return sqlite3.SQLITE_CANTOPEN
	case Size:
		return sqlite3.SQLITE_IOERR_FSTAT
	case Lock:
		return sqlite3.SQLITE_IOERR_LOCK
	case Exists:
		return sqlite3.SQLITE_IOERR_ACCESS
	case MapShared:
		if full {
			return sqlite3.SQLITE_IOERR_SHMSIZE
		}
		return sqlite3.SQLITE_IOERR_SHMMAP
	case LockShared:
		return sqlite3.SQLITE_IOERR_SHMLOCK
	default:
		return sqlite3.SQLITE_IOERR
	}
}
