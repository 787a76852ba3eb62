package loadtest_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest"
)

func TestARunAgainstASoundServerMatches(t *testing.T) {
	for name, change := range map[string]func(*loadtest.Options){
		"batches":              func(*loadtest.Options) {},
		"single events":        func(o *loadtest.Options) { o.BatchSize = 1 },
		"a last partial batch": func(o *loadtest.Options) { o.BatchSize = 7 },
		"no duplicates":        func(o *loadtest.Options) { o.DuplicateShare = 0 },
		"one id only":          func(o *loadtest.Options) { o.DuplicateShare = 1 },
		"more topics than ids": func(o *loadtest.Options) { o.Topics, o.DuplicateShare = 500, 0.9 },
		"more connections":     func(o *loadtest.Options) { o.Connections = 50 },
		"small payloads":       func(o *loadtest.Options) { o.PayloadBytes = loadtest.MinPayloadBytes },
	} {
		t.Run(name, func(t *testing.T) {
			_, url := newFakeServer(t)
			o := small(url)
			change(&o)
			r := mustRun(t, o)
			require.True(t, r.OK(), "%s %s", r.Failure, problemsOf(r))
			require.EqualValues(t, 600, r.Counts.Acknowledged)
			require.Equal(t, r.Counts.ExpectedStored, r.Counts.Stored)
			require.Equal(t, r.Counts.ExpectedDuplicates, r.Counts.Duplicates)
			require.EqualValues(t, 600, r.Counts.Stats.Received)
			require.Equal(t, r.Counts.Stored, r.Counts.Stats.Unique)
			require.Zero(t, r.Retries)
			require.Equal(t, map[string]int64{"200": r.Attempts}, r.Statuses)
			require.Len(t, r.Checks, 5)
		})
	}
}

func TestARunIsExactOnAServerThatHoldsEventsAlready(t *testing.T) {
	_, url := newFakeServer(t)
	require.True(t, mustRun(t, small(url)).OK())
	r := mustRun(t, small(url)) // The same seed: only the run id differs.
	require.True(t, r.OK(), problemsOf(r))
	require.EqualValues(t, 300, r.Counts.Stats.Unique)
}

func TestEachPlantedFaultIsFound(t *testing.T) {
	onThird := func(change func(results []result) []result) func(int, []result) ([]result, int) {
		return func(n int, results []result) ([]result, int) {
			if n == 3 {
				results = change(results)
			}
			return results, 0
		}
	}
	for name, c := range map[string]struct {
		plant func(*fakeServer)
		want  string
	}{
		"a duplicate called stored": {func(f *fakeServer) {
			f.fault = func(_ int, results []result) ([]result, int) {
				for i := range results {
					results[i].Outcome = "stored"
				}
				return results, 0
			}
		}, "more than once"},
		"a stored event called duplicate": {func(f *fakeServer) {
			f.fault = onThird(func(results []result) []result {
				for i := range results {
					results[i].Outcome = "duplicate"
				}
				return results
			})
		}, `"duplicate" only`},
		"a duplicate with another seq": {func(f *fakeServer) {
			f.fault = func(_ int, results []result) ([]result, int) {
				for i := range results {
					if results[i].Outcome == "duplicate" {
						results[i].Seq += 10_000
					}
				}
				return results, 0
			}
		}, "answered with seq"},
		"one seq for two ids": {func(f *fakeServer) {
			f.fault = func(_ int, results []result) ([]result, int) {
				for i := range results {
					results[i].Seq = (results[i].Seq + 1) / 2
				}
				return results, 0
			}
		}, "same seq"},
		"a seq of 0": {func(f *fakeServer) {
			f.fault = onThird(func(results []result) []result { results[0].Seq = 0; return results })
		}, "the seq is 0"},
		"a conflict that is none": {func(f *fakeServer) {
			f.fault = onThird(func(results []result) []result { results[0].Conflict = true; return results })
		}, "conflict"},
		"an event called invalid": {func(f *fakeServer) {
			f.fault = onThird(func(results []result) []result { results[0].Outcome = "invalid"; return results })
		}, `outcome is "invalid"`},
		"a result too few": {func(f *fakeServer) {
			f.fault = onThird(func(results []result) []result { return results[1:] })
		}, "19 results for 20 events"},
		"an acknowledged event that is lost": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent { return all[1:] }
		}, "is not there"},
		"an event stored twice": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent {
				again := all[0]
				again.Seq = 10_000
				return append(all, again)
			}
		}, "listed twice"},
		"a payload that was changed": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent {
				all[5].Payload = bytes.Replace(all[5].Payload, []byte(`"n":`), []byte(`"N":`), 1)
				return all
			}
		}, "came back changed"},
		"a timestamp that was changed": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent {
				all[5].Timestamp = strings.Replace(all[5].Timestamp, "Z", "+00:00", 1)
				return all
			}
		}, "came back changed"},
		"an event of nobody": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent {
				extra := all[0]
				extra.EventID, extra.Seq = "who", 10_000
				return append(all, extra)
			}
		}, "did not send"},
		"wrong counts of a topic": {func(f *fakeServer) {
			f.count = func(c *counts) { c.Duplicates++ }
		}, "/topics shows"},
		"duplicates that are never counted": {func(f *fakeServer) {
			f.count = func(c *counts) { c.Duplicates-- }
		}, "/topics shows"},
	} {
		t.Run(name, func(t *testing.T) {
			f, url := newFakeServer(t)
			c.plant(f)
			r := mustRun(t, small(url))
			require.False(t, r.OK())
			require.Contains(t, problemsOf(r), c.want)
			require.LessOrEqual(t, len(r.Problems.Listed), 20)
		})
	}
}

func TestEventsOfOthersAreAFaultOnlyWhenTheRunIsAlone(t *testing.T) {
	for _, exclusive := range []bool{true, false} {
		f, url := newFakeServer(t)
		f.before = func(n int) int {
			if n == 5 {
				f.store(wireEvent{Topic: "another", EventID: "1", Payload: []byte("{}")})
			}
			return 0
		}
		o := small(url)
		o.Exclusive = exclusive
		r := mustRun(t, o)
		require.Equal(t, !exclusive, r.OK(), problemsOf(r))
	}
}

func TestRefusalsAndLostAnswersAreRetriedAndStillVerifyExactly(t *testing.T) {
	f, url := newFakeServer(t)
	f.before = func(n int) int {
		return map[int]int{2: http.StatusServiceUnavailable, 5: http.StatusTooManyRequests, 9: -1}[n]
	}
	f.fault = func(n int, results []result) ([]result, int) { // Stored, but the answer is lost.
		return results, map[int]int{1: -1, 12: http.StatusServiceUnavailable, 20: -1}[n]
	}
	r := mustRun(t, small(url))
	require.True(t, r.OK(), "%s %s", r.Failure, problemsOf(r))
	require.EqualValues(t, 6, r.Retries)
	require.EqualValues(t, 2, r.Statuses["503"])
	require.EqualValues(t, 1, r.Statuses["429"])
	require.EqualValues(t, 3, r.Statuses["no answer"])
	require.EqualValues(t, 600, r.Counts.Acknowledged)
	require.Less(t, r.Counts.Stored, r.Counts.ExpectedStored, "the first answers were lost")
	require.Equal(t, r.Counts.ExpectedStored, r.Counts.Stats.Unique)
}

func TestAFinalRefusalEndsTheRun(t *testing.T) {
	f, url := newFakeServer(t)
	f.before = func(n int) int {
		if n > 4 {
			return http.StatusForbidden
		}
		return 0
	}
	r := mustRun(t, small(url))
	require.False(t, r.OK())
	require.Contains(t, r.Failure, "403")
	require.EqualValues(t, 80, r.Counts.Acknowledged)
	require.Positive(t, r.Counts.Refused)
	require.EqualValues(t, 600, r.Counts.Acknowledged+r.Counts.Refused+r.Counts.Unsent)
	require.Zero(t, r.Problems.Count, "what was acknowledged is there: %s", problemsOf(r))
}

func TestARunWhoseServerGoesAwayReportsWhatWasAcknowledged(t *testing.T) {
	f, url := newFakeServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	f.before = func(n int) int {
		if n == 10 {
			cancel(context.Canceled) // Stands for the patience that ends; a real one takes seconds.
		}
		if n >= 10 {
			return -1
		}
		return 0
	}
	var ledger bytes.Buffer
	o := small(url)
	o.Ledger = &ledger
	r, err := loadtest.Run(ctx, o)
	require.NoError(t, err)
	require.False(t, r.OK())
	require.NotEmpty(t, r.Failure)
	require.Positive(t, r.Counts.Acknowledged)
	require.Positive(t, r.Counts.Unknown)
	require.EqualValues(t, 600, r.Counts.Acknowledged+r.Counts.Unknown+r.Counts.Unsent)
	require.EqualValues(t, r.Counts.Acknowledged, strings.Count(ledger.String(), "\n"))
}

func TestARunThatCannotBeginIsAnError(t *testing.T) {
	for name, o := range map[string]loadtest.Options{
		"no URL":              {},
		"negative events":     {URL: "http://127.0.0.1:1", Events: -1},
		"a share above 1":     {URL: "http://127.0.0.1:1", DuplicateShare: 1.1},
		"a tiny payload":      {URL: "http://127.0.0.1:1", PayloadBytes: 3},
		"a URL that is wrong": {URL: "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadtest.Run(t.Context(), o)
			require.Error(t, err)
		})
	}
}
