// Package loadtest loads a Sekali server over HTTP and verifies every answer.
//
// A run is planned first, from a seed: which sends are new ids and which repeat
// an earlier one, part of them while their original is still on its way. Topics
// and ids carry a run id of their own, so that a run is exact against a server
// that holds other events. Then the clock starts: a fixed number of connections
// send the requests, closed loop, bodies encoded beforehand. Afterwards each
// answer is held against the plan, and the server's counts and stored events
// against the answers: each id stored exactly once, bytes as sent.
//
// A run that loses its server reports what was acknowledged. With a ledger,
// Verify checks later that all of it is there; that is how kill -9 is tested.
//
// This package is the stress run, which verifies everything, and the server
// that it starts. Package profile measures the goals of the project, with a
// generator that costs little; generator, ceiling, proc, result, page and
// progress are its parts.
//
// Beyond the standard library: HdrHistogram records latencies in constant
// memory without the averaging of fixed buckets; progressbar draws the bar that
// a terminal expects; uPlot draws the charts of the HTML report (package page).
//
// Run uses one goroutine per connection; each result slot is written by one of
// them and read after all have ended.
package loadtest
