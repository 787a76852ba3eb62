//go:build !race

package sqlite

const (
	powerLossStates   = 10_000
	powerLossControls = 500
	ioErrorInjections = 1000
	rotDamages        = 100
)
