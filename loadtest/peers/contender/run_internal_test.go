package contender

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/events"
)

// forgetful is a peer whose answers were right, but which loses something when
// it crashes.
type forgetful struct {
	sqlite

	loses string // a statement
}

func (f *forgetful) Crash() error {
	if _, err := f.db.Exec(f.loses); err != nil {
		return err
	}
	return f.sqlite.Crash()
}

// TestARunOfAPeerThatLosesSomethingHasNoFigures is the control of a whole run.
func TestARunOfAPeerThatLosesSomethingHasNoFigures(t *testing.T) {
	for loses, says := range map[string]string{
		"delete from events where seq = 7":               "it counts 1799 events; 1800 different ones were sent",
		"update events set payload = '{}' where seq = 7": "has the payload",
	} {
		kind := sqliteKinds()[0]
		kind.start = func(Environment, Kind) Peer { return &forgetful{loses: loses} }
		plan, err := events.NewPlan(4, 2000, 0.1)
		require.NoError(t, err)
		result, err := Run(t.Context(), kind, Options{Plan: plan, Dir: filepath.Join(t.TempDir(), "run"), Limit: time.Minute, Step: 1000})
		require.ErrorContains(t, err, says)
		require.Empty(t, result)
	}
}
