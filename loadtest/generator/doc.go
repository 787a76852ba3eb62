// Package generator sends HTTP requests as fast as a server takes them, or at
// the times of a schedule, and judges every answer, at a cost so low that the
// server can be measured from the same cores.
//
// What makes it cheap: HTTP/1.1 over a plain connection, one request after the
// other; each worker has one request in memory, in which only the fixed-width
// ids, topics and numbers are overwritten; an answer is read into a buffer that
// is used again, and its counts and results are scanned in place. Sending and
// judging a request allocates nothing.
//
// What makes it exact: an event is a function of its run and its number, so
// that any earlier one can be repeated without remembering any. A number that
// was never sent must come back as stored; one that was acknowledged must come
// back as a duplicate; anything else is a problem of the run.
//
// Closed and Open use one goroutine per connection. A Script belongs to one of
// them; a Stream is shared by the scripts of a run.
package generator
