package actors

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

func TestDrainAnswersWhatIsInFlightAndRefusesTheRest(t *testing.T) {
	g := newGate()
	s, _ := startSystem(t, Options{}, g.pass)
	defer g.release()
	reply := ingestAsync(t.Context(), s, eventOf("t", "a"))
	<-g.arrived
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(context.Background()) }()
	require.Eventually(t, func() bool {
		s.admission.mu.Lock()
		defer s.admission.mu.Unlock()
		return s.admission.closed
	}, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, s.Ready(), sekali.ErrShuttingDown)
	_, err := s.Ingest(t.Context(), []sekali.Event{eventOf("t", "b")})
	require.ErrorIs(t, err, sekali.ErrShuttingDown)
	g.release()
	require.NoError(t, (<-reply).err)
	require.NoError(t, <-drained)
}

func TestADrainThatRunsOutOfTimeAnswersEveryone(t *testing.T) {
	g := newGate()
	s, _ := startSystem(t, Options{}, g.pass)
	defer g.release()
	reply := ingestAsync(t.Context(), s, eventOf("t", "a"))
	<-g.arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Drain(ctx), context.Canceled)
	require.Equal(t, sekali.CodeTimeout, sekali.CodeOf((<-reply).err))
}

func TestADrainWithNothingInFlightNeedsNoTime(t *testing.T) {
	s, _ := startSystem(t, Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Drain(ctx))
}
