// Package actors is the engine between HTTP and the store: it admits events,
// shards them by topic to dedup actors, merges their batches into one commit
// and counts.
//
// It guarantees that an event is answered only after a commit that holds it or
// its first write has returned, that each admitted event is answered exactly
// once (with an error if need be), that one topic cannot crowd out the others,
// and that what is in memory is bounded by the limits of Options.
//
// A System may be used from any goroutine. Inside, every actor's state is
// private to it, messages are immutable once sent, and Receive never blocks:
// the committer goroutine is the only one that waits for the disk. Types of the
// actor library do not leave the package. DESIGN.md has the why.
package actors
