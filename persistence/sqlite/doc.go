// Package sqlite keeps events in one SQLite database inside a data directory.
//
// It owns that directory: a lock file admits one process at a time. All writes
// go through one connection in WAL mode with synchronous=FULL, so that a commit
// that returned has been synced to the disk (a Relaxed store syncs later);
// reads use a few read-only connections beside it and never hold a snapshot for
// longer than one page.
// After an I/O error the store stops for good: a failed fsync is never retried
// on the same handle (the kernel may have dropped the pages), so everything
// from then on is refused with sekali.CodeStorageFailed.
//
// A Store may be used from any goroutine; writes and checkpoints take turns on
// the writer connection.
package sqlite
