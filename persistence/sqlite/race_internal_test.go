//go:build race

package sqlite

// The race detector makes the translated SQLite twenty times slower, and finds
// nothing more in states that are checked one by one: `make states` checks the
// others without it.
const (
	powerLossStates   = 100
	powerLossControls = 30
	ioErrorInjections = 40
	rotDamages        = 40
)
