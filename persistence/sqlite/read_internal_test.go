package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
)

// TestAWaitForAReaderIsNotAQuerysTime takes all read connections.
func TestAWaitForAReaderIsNotAQuerysTime(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{Readers: 2})
	require.Equal(t, 2, s.readers.Stats().OpenConnections, "opened before they are needed")
	held := make(chan struct{})
	release := make(chan struct{})
	finished := make(chan error, 2)
	for range 2 {
		go func() {
			finished <- s.read(context.Background(), func(context.Context, *sql.Conn) error {
				held <- struct{}{}
				<-release
				return nil
			})
		}()
		<-held
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Events(ctx, sekali.EventsQuery{Limit: 1})
	require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageBusy})
	require.ErrorContains(t, err, "too many queries are running")

	waiting := make(chan error, 1)
	go func() {
		_, err := s.Events(context.Background(), sekali.EventsQuery{Limit: 1})
		waiting <- err
	}()
	close(release)
	require.NoError(t, errors.Join(<-finished, <-finished, <-waiting))
}
