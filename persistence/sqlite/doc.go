// Package sqlite keeps events in one SQLite database inside a data directory.
//
// It owns that directory: a lock file admits one process at a time. All writes
// go through one connection in WAL mode with synchronous=FULL, so that a commit
// that returned has been synced to the disk (a Relaxed store syncs later);
// reads use a few read-only connections beside it and never hold a snapshot for
// longer than one page.
// Before the database is opened its log is audited, and what it holds is
// compared with a high-water mark that is written after each commit: a start
// that finds acknowledged events missing is refused (loss.go).
// After an I/O error the store stops for good: a failed fsync is never retried
// on the same handle (the kernel may have dropped the pages), so everything
// from then on is refused with sekali.CodeStorageFailed.
//
// The events table has no index: ids, topics and repeats are found by
// persistence/rowindex, whose files lie beside the database and are derived
// from it.
//
// A Store may be used from any goroutine; writes and the last step of a
// checkpoint take turns on the writer connection, the rest of a checkpoint,
// reads and the comparison of ids have connections of their own.
package sqlite
