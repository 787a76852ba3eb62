// Package crashvfs is a disk that can lose its power and fail on request, for
// tests of a store on SQLite. It owns a SQLite VFS that passes everything on to
// the files of one folder and records what changes them, the same for what is
// done to these files past SQLite, and a model of which of it is certain to be
// on the disk: what was synced. From a record it makes the folder as a loss of
// power could have left it.
//
// It says what POSIX says and no more: a write is durable after a sync of its
// file that began later and succeeded, a name after a sync of its folder. Until
// then each write may be there, be missing, or be there in some of its
// 512-byte sectors, in any combination with others. After a sync that failed,
// what was written before it stays uncertain for good, whatever a later sync
// says: that is what Linux does.
//
// A [Disk] may be used by any number of goroutines; a [Platter] by one.
package crashvfs
