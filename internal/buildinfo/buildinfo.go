// Package buildinfo says which build is running. It has no state beyond three
// variables that the linker sets.
package buildinfo

import "runtime"

// Set with -ldflags "-X sekali/internal/buildinfo.version=…".
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

// Version returns the release, or "dev".
func Version() string { return version }

// Commit returns the revision that was built, or "unknown".
func Commit() string { return commit }

// Date returns when it was built, RFC 3339, or "unknown".
func Date() string { return date }

// Go returns the version of Go that built it.
func Go() string { return runtime.Version() }
