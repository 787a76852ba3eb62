// Package sekali is the domain of the Sekali event gate: events, topics,
// outcomes, error codes and the Store that keeps them.
//
// An event is identified by its topic and its event id, byte for byte. Sekali
// stores and counts each identity once: the first write wins, every later one
// is a duplicate. Nothing in this package performs I/O, starts a goroutine or
// imports anything beyond the standard library; all values are plain data that
// may be copied freely and are safe for concurrent reading.
package sekali
