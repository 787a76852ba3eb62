package storetest

import (
	"strconv"

	"github.com/stretchr/testify/require"

	"sekali"
)

var lifeTests = []test{
	{"everything is there after the store was reopened", everythingSurvives},
	{"a closed store refuses every call", closedStoreRefuses},
	{"close waits for a running batch, which is whole or not there", closeWaits},
	{"closing and opening again many times changes nothing", reopenOften},
}

func everythingSurvives(f *fixture) {
	mixed(f)
	events := f.read(sekali.EventsQuery{Limit: 100})
	topics := f.topics(sekali.TopicsQuery{Limit: 100})
	totals := f.totals()
	f.reopen()
	require.Equal(f, events, f.read(sekali.EventsQuery{Limit: 100}))
	require.Equal(f, topics, f.topics(sekali.TopicsQuery{Limit: 100}))
	require.Equal(f, totals, f.totals())
}

func closedStoreRefuses(f *fixture) {
	f.append(event("a", "1"))
	closed := f.Store
	f.shut()
	_, err := closed.AppendBatch(f.Context(), sekali.Batch{Events: []sekali.Event{event("a", "2")}, At: f.now})
	require.Equal(f, sekali.CodeShuttingDown, sekali.CodeOf(err), "%v", err)
	_, err = closed.Totals(f.Context())
	require.Error(f, err)
	_, err = closed.Topics(f.Context(), sekali.TopicsQuery{Limit: 1})
	require.Error(f, err)
	_, err = closed.Topic(f.Context(), "a")
	require.Error(f, err)
	_, err = closed.Events(f.Context(), sekali.EventsQuery{Limit: 1})
	require.Error(f, err)
	_, err = closed.Event(f.Context(), "a", "1")
	require.Error(f, err)

	f.Store = f.open(f.T, f.dir)
	require.EqualValues(f, 1, f.totals().Unique)
}

func closeWaits(f *fixture) {
	const size = 500
	for round := range 5 {
		events := make([]sekali.Event, size)
		for i := range events {
			events[i] = event("t"+strconv.Itoa(round), strconv.Itoa(i))
		}
		store, ctx, done := f.Store, uncanceled(f), make(chan error, 1)
		go func() {
			_, err := store.AppendBatch(ctx, sekali.Batch{Events: events, At: at(0)})
			done <- err
		}()
		f.reopen()
		before := f.totals().Unique
		stored := f.append(events...).Decisions
		err := <-done
		for _, d := range stored {
			require.Equal(f, err != nil, d.Stored, "what the batch said (%v) holds for each of its events", err)
		}
		if err != nil {
			require.Equal(f, sekali.CodeShuttingDown, sekali.CodeOf(err))
		}
		require.EqualValues(f, size*(round+1), f.totals().Unique, "before the check there were %d", before)
	}
}

func reopenOften(f *fixture) {
	for i := range 10 {
		f.append(event("a", strconv.Itoa(i)))
		f.reopen()
		require.EqualValues(f, i+1, f.topic("a").Unique)
		require.Len(f, f.read(sekali.EventsQuery{Limit: 3}), i+1)
	}
}
