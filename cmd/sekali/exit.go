package main

import "fmt"

// The exit codes of every command.
const (
	exitDone    = 0
	exitFailed  = 1  // failed, or found something
	exitUsage   = 2  // wrong flags, arguments or configuration
	exitStorage = 74 // the storage failed (EX_IOERR of sysexits.h)
	exitInUse   = 75 // the data directory is in use (EX_TEMPFAIL)
)

// exitError is an error with the code to exit with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitWith gives err an exit code; nil stays nil.
func exitWith(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// usageErrorf is an error that the user's own words caused.
func usageErrorf(format string, args ...any) error {
	return exitWith(exitUsage, fmt.Errorf(format, args...))
}
