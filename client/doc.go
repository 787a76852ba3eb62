// Package client is the Go client of the Sekali HTTP API: it publishes events,
// one outcome per event, and reads them back.
//
// The server stores each (topic, event id) once, so sending again is always
// safe and the client does so by itself: a refusal that passes (408, 429 and
// every 5xx) and an answer that never came whole are tried again with the same
// ids, with exponential backoff and full jitter, and never earlier than the
// server's Retry-After. A full disk (507) is among them, because the server
// recovers from it without a restart and giving up would lose the event. Other
// refusals (4xx) are final and come back as an *APIError.
//
// An event whose answer says stored or duplicate is on the server's disk. After
// any error it may or may not be stored; publish it again with the same id.
//
// A Client and a Batcher may be used by many goroutines at a time. Events and
// payloads that are handed in are only read, and not after the call returned.
package client
