// Package measure takes the figures of a run: what the client saw, and what the
// server's processes took from the machine while it did.
//
// A Recorder may be used by many goroutines at once. Processes are read from
// /proc, so it works on Linux only.
package measure
