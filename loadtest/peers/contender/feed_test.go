package contender_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/contender"
	"sekali/loadtest/peers/events"
)

func TestTheFeedHandsOutThePlanInOrderAndOnce(t *testing.T) {
	plan, _ := everything(t, 2050, 0)
	feed := contender.NewFeed(plan, 100, time.Now().Add(time.Hour))
	var b, whole events.Batch
	whole.Fill(plan, 0, plan.Total())
	var got []events.Event
	for feed.Next(&b) {
		got = append(got, b.Events...)
		require.Equal(t, len(got), feed.Sent())
	}
	require.Equal(t, whole.Events, got)
	require.False(t, feed.Next(&b))
	require.Equal(t, 2050, feed.Sent())
}

func TestTheFeedEndsWhenItsTimeIsUp(t *testing.T) {
	plan, _ := everything(t, 2000, 0)
	feed := contender.NewFeed(plan, 100, time.Now().Add(-time.Second))
	var b events.Batch
	require.False(t, feed.Next(&b))
	require.Zero(t, feed.Sent())
}
