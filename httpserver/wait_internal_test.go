package httpserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAWaitEndsAfterItsTimeAndIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p waits
		start := time.Now()
		w := p.get(time.Minute)
		require.NoError(t, w.Err())
		until, ok := w.Deadline()
		require.True(t, ok)
		require.Equal(t, start.Add(time.Minute), until)
		<-w.Done()
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, w.Err(), context.DeadlineExceeded)
		p.put(w)
		again := p.get(time.Minute)
		require.NotSame(t, w, again)
		require.NoError(t, again.Err())
		p.put(again)
	})
}

func TestAWaitThatWasGivenBackDoesNotEndTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p waits
		p.put(p.get(time.Second))
		w := p.get(time.Hour)
		<-time.After(time.Minute)
		require.NoError(t, w.Err())
		p.put(w)
	})
}
