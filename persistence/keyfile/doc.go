// Package keyfile keeps the keys of the API in a file of the data directory,
// keys.json. It implements access.Store.
//
// The file is replaced as a whole: written beside it, synced, renamed, and the
// directory synced, so that a reader and a crash find the keys from before or
// those from after. Whoever changes it holds a lock on keys.lock, which is not
// the lock of the data directory: keys are managed while a server runs.
//
// A file that is damaged, of an unknown version, or open to everybody on the
// machine is an error, and so is one that is missing although there were keys:
// keys.lock remembers that. No error may be taken for "there are no keys".
package keyfile
