package sekali

import (
	"errors"
	"time"
)

// Code is a stable, machine-readable name of a kind of error. docs/errors.md
// lists them all with their HTTP status.
type Code string

// The codes that the domain itself gives. The HTTP layer adds those of its own
// protocol (malformed, not_found and so on).
const (
	CodeInvalidEvent    Code = "invalid_event"
	CodeUnauthorized    Code = "unauthorized"
	CodeForbidden       Code = "forbidden"
	CodeNotFound        Code = "not_found"
	CodeTopicOverloaded Code = "topic_overloaded"
	CodeRateLimited     Code = "rate_limited"
	CodeOverloaded      Code = "overloaded"
	CodeTimeout         Code = "commit_timeout"
	CodeShuttingDown    Code = "shutting_down"
	CodeStorageFailed   Code = "storage_failed"
	CodeStorageFull     Code = "storage_full"
	CodeStorageBusy     Code = "storage_busy"
	CodeWALPressure     Code = "wal_pressure"
	CodeTopicRestarted  Code = "topic_restarted"
	CodeInternal        Code = "internal"
)

// Error is an error with a code that clients can act on. Message is safe to
// show to them and says what to do; Err is for the log only.
type Error struct {
	Code    Code
	Message string
	// RetryAfter is when a retry may succeed; 0 means that the error does not
	// depend on time.
	RetryAfter time.Duration
	Err        error
}

// Error returns the code, the message and the cause, for logs.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// With returns a copy of e with a cause.
func (e *Error) With(cause error) *Error {
	c := *e
	c.Err = cause
	return &c
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error with the same code, so that
// errors.Is(err, &Error{Code: c}) and the sentinels below work.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of err, or CodeInternal when it has none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Sentinels for errors.Is; a returned error of the same code may carry a
// message and a cause of its own.
var (
	ErrNotFound      = &Error{Code: CodeNotFound, Message: "there is no such event"}
	ErrShuttingDown  = &Error{Code: CodeShuttingDown, Message: "the server is shutting down; send the request again, with the same ids, to the next instance", RetryAfter: time.Second}
	ErrStorageFailed = &Error{Code: CodeStorageFailed, Message: "the storage failed and the server has stopped acknowledging; send the request again with the same ids when it is back", RetryAfter: 10 * time.Second}
)
