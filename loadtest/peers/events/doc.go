// Package events makes the events that every peer is given: the same ones, in
// the same order, with the same repeats, from a seed.
//
// An event is known by its number. Its id is the number enciphered under the
// seed: without order for whoever stores it, and yet whoever reads it back can
// tell which event it is, and so check that every event is there exactly once
// without remembering any of them. Everything here may be used by many
// goroutines at once, except a Batch, which belongs to one.
package events
