package generator_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/generator"
)

// publish sends requests over 4 connections, closed loop.
func publish(t *testing.T, target generator.Target, s *generator.Stream, requests int64) *generator.Measurement {
	t.Helper()
	s.Allow(requests)
	return generator.Closed(t.Context(), dial(t, target, 4), generator.Publishers(target, s, generator.SendAgain), generator.Limits{})
}

func newStream(batch int, repeats generator.Repeats) *generator.Stream {
	return generator.NewStream(generator.NewRun(1, 2, 3), batch, 4, repeats, 1)
}

func TestEveryNewEventIsStoredOnceAndEveryRepeatIsADuplicate(t *testing.T) {
	for name, c := range map[string]struct {
		batch int
		share float64
	}{
		"batches":               {batch: 20, share: 0.3},
		"single events":         {batch: 1, share: 0.3},
		"no repeats":            {batch: 20},
		"nothing but repeats":   {batch: 20, share: 1},
		"a batch of two events": {batch: 2, share: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			fake, target := serve(t)
			s := newStream(c.batch, generator.Repeats{Share: c.share})
			m := publish(t, target, s, 60)
			require.NoError(t, m.Err())
			require.EqualValues(t, 60, m.Requests)
			require.EqualValues(t, 60*c.batch, m.Events())
			require.EqualValues(t, len(fake.seqs), m.Stored)
			require.Equal(t, s.Sent(), uint64(m.Stored))
			require.Equal(t, c.share > 0, m.Duplicates > 0)
			require.EqualValues(t, 60, m.Latency.TotalCount())
			require.Positive(t, m.Stall)
			var sliced int64
			for _, slice := range m.Slices {
				sliced += slice.Events
			}
			require.Equal(t, m.Events(), sliced)
		})
	}
}

func TestEventsOfEarlierRunsCanBeRepeatedByTheirNumbers(t *testing.T) {
	fake, target := serve(t)
	var known []generator.Known
	for salt := range uint64(3) {
		run := generator.NewRun(9, salt, 5)
		s := generator.NewStream(run, 10, 4, generator.Repeats{}, 1)
		require.NoError(t, publish(t, target, s, 8).Err())
		known = append(known, generator.Known{Run: run, Count: s.Sent()})
	}
	m := publish(t, target, newStream(10, generator.Repeats{Share: 0.5, Of: known}), 40)
	require.NoError(t, m.Err())
	require.InDelta(t, 200, m.Duplicates, 80)
	require.EqualValues(t, len(fake.seqs), 240+m.Stored)
}

func TestEachPlantedFaultIsAProblem(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*server)
		want  string
	}{
		"a stored event called duplicate": {func(s *server) {
			s.change = func(r []result) []result { r[0].Outcome = "duplicate"; return r }
		}, "but was never sent before"},
		"a duplicate called stored": {func(s *server) {
			s.change = func(r []result) []result {
				for i := range r {
					r[i].Outcome = "stored"
				}
				return r
			}
		}, "was acknowledged before"},
		"an event that was lost": {func(s *server) {
			s.change = func(r []result) []result { clear(s.seqs); return r }
		}, "was acknowledged before"},
		"a result too few": {func(s *server) {
			s.change = func(r []result) []result { return r[1:] }
		}, "9 results for 10 events"},
		"a result too many": {func(s *server) {
			s.change = func(r []result) []result { return append(r, r[0]) }
		}, "11 results for 10 events"},
		"a wrong count":   {func(s *server) { s.count = 1 }, "11 accepted"},
		"a seq of 0":      {func(s *server) { s.change = func(r []result) []result { r[3].Seq = 0; return r } }, "its seq is 0"},
		"a conflict":      {func(s *server) { s.change = func(r []result) []result { r[3].Conflict = true; return r } }, "conflict"},
		"an odd outcome":  {func(s *server) { s.change = func(r []result) []result { r[3].Outcome = "eaten"; return r } }, `"eaten"`},
		"an error":        {func(s *server) { s.refuse = func(int) int { return 507 } }, "HTTP 507"},
		"an answer of 30": {func(s *server) { s.header.Set("Content-Length", "30") }, ""},
		"a refusal that does not say when to come back": {func(s *server) {
			s.refuse = func(n int) int { return map[int]int{3: 503}[n] }
		}, "no Retry-After"},
	} {
		t.Run(name, func(t *testing.T) {
			fake, target := serve(t)
			c.plant(fake)
			m := publish(t, target, newStream(10, generator.Repeats{Share: 0.5}), 40)
			require.Error(t, m.Err())
			require.ErrorContains(t, m.Err(), c.want)
			require.LessOrEqual(t, len(m.Problems), 20)
		})
	}
}

func TestAFaultInTheCountsIsFoundThoughTheResultsAreSound(t *testing.T) {
	fake, target := serve(t)
	s := newStream(10, generator.Repeats{})
	require.NoError(t, publish(t, target, s, 4).Err())
	fake.change = func(r []result) []result {
		r[0].Outcome = "stored" // of an event that the counts call a duplicate
		return r
	}
	again := generator.NewStream(s.Run(), 10, 4, generator.Repeats{}, 1)
	require.Error(t, publish(t, target, again, 1).Err())
}

func TestARefusedRequestIsSentAgainUntilItIsTaken(t *testing.T) {
	fake, target := serve(t)
	fake.header.Set("Retry-After", "1")
	fake.refuse = func(n int) int {
		return map[int]int{2: http.StatusServiceUnavailable, 3: http.StatusTooManyRequests, 9: http.StatusServiceUnavailable}[n]
	}
	s := newStream(10, generator.Repeats{Share: 0.2})
	m := publish(t, target, s, 30)
	require.NoError(t, m.Err())
	require.EqualValues(t, 3, m.Refused)
	require.EqualValues(t, 3, m.Refusals.TotalCount())
	require.EqualValues(t, 33, m.Requests)
	require.EqualValues(t, 300, m.Events())
	require.EqualValues(t, len(fake.seqs), m.Stored)
}

func TestARefusedRequestCanBeLeftOut(t *testing.T) {
	fake, target := serve(t)
	fake.header.Set("Retry-After", "1")
	fake.refuse = func(n int) int { return map[int]int{2: 503, 3: 503}[n] }
	s := newStream(10, generator.Repeats{})
	s.Allow(30)
	m := generator.Closed(t.Context(), dial(t, target, 4), generator.Publishers(target, s, generator.LeaveOut), generator.Limits{})
	require.NoError(t, m.Err())
	require.EqualValues(t, 30, m.Requests)
	require.EqualValues(t, 280, m.Stored)
	require.Len(t, fake.seqs, 280)
}

func TestAServerThatClosesAfterAnAnswerIsConnectedToAgain(t *testing.T) {
	fake, target := serve(t)
	fake.header.Set("Connection", "close")
	m := publish(t, target, newStream(10, generator.Repeats{}), 20)
	require.NoError(t, m.Err())
	require.EqualValues(t, 200, m.Stored)
}
