package access_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/access"
)

// limited returns the grants of two keys of which the first may do 100 a second.
func limited(t testing.TB, o access.Options) (greedy, other *access.Grant) {
	t.Helper()
	m := newMemory()
	s := spec("greedy", access.Publish)
	s.Rate = access.Rate{PerSecond: 100, Burst: 50}
	a, b := m.create(t, s), m.create(t, spec("other", access.Publish))
	g := newGuard(t, m, o)
	return requireAccepted(t, g, a), requireAccepted(t, g, b)
}

func retryAfter(t testing.TB, err error) time.Duration {
	t.Helper()
	var limited *sekali.Error
	require.ErrorAs(t, err, &limited)
	require.Equal(t, sekali.CodeRateLimited, limited.Code)
	require.Positive(t, limited.RetryAfter)
	return limited.RetryAfter
}

func TestARateHoldsOverTimeAndSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := limited(t, access.Options{})
		require.NoError(t, g.Spend(50), "the burst")
		wait := retryAfter(t, g.Spend(1))
		require.Equal(t, 10*time.Millisecond, wait)
		require.Equal(t, wait, retryAfter(t, g.Begin(0, 0)), "what would be refused is refused before its body")
		pass(wait)
		require.NoError(t, g.Begin(0, 0))
		require.NoError(t, g.Spend(1))

		// Whoever waits as told gets the rate, in whatever sizes.
		begin, spent := time.Now(), 0
		for _, size := range []int{1, 300, 1, 7, 1000, 50, 49, 1} {
			for {
				err := g.Spend(size)
				if err == nil {
					break
				}
				pass(retryAfter(t, err))
			}
			spent += size
		}
		require.InDelta(t, float64(spent)/100, time.Since(begin).Seconds(), 0.6)
	})
}

func TestABatchLargerThanTheBurstPassesAndIsPaidForAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := limited(t, access.Options{})
		require.NoError(t, g.Spend(1000))
		require.Equal(t, 9510*time.Millisecond, retryAfter(t, g.Spend(1)).Round(time.Millisecond))
	})
}

func TestNobodyIsToldToWaitLongerThanADay(t *testing.T) {
	m := newMemory()
	s := spec("slow", access.Publish)
	s.Rate = access.Rate{PerSecond: 1.0 / 3600}
	g := grantOf(t, m, m.create(t, s))
	require.NoError(t, g.Spend(1<<40))
	require.Equal(t, 24*time.Hour, retryAfter(t, g.Spend(1)))
}

func TestAPauseSavesUpNoMoreThanTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := limited(t, access.Options{})
		pass(time.Hour)
		for range 50 {
			require.NoError(t, g.Spend(1))
		}
		retryAfter(t, g.Spend(1))
	})
}

// TestOneKeyDoesNotTakeTheShareOfAnother has one key ask for more than it may
// while another has what it needs.
func TestOneKeyDoesNotTakeTheShareOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		greedy, other := limited(t, access.Options{Limits: access.Limits{InFlightEvents: 100, InFlightBytes: 1000}})
		var passed int
		for range 1000 {
			if greedy.Spend(1) == nil {
				passed++
			}
			require.NoError(t, other.Spend(1))
			pass(time.Millisecond)
		}
		require.InDelta(t, 150, passed, 2, "a second's worth and the burst, of 1,000 tries")

		require.NoError(t, greedy.Enter(100))
		require.Equal(t, time.Second, retryAfter(t, greedy.Enter(1)))
		require.NoError(t, other.Enter(100), "its own budget")
		greedy.Leave(100)
		require.NoError(t, greedy.Enter(100))

		require.NoError(t, other.Begin(1000, 0))
		require.Equal(t, time.Second, retryAfter(t, other.Begin(1, 0)))
		other.End(1000)
		require.NoError(t, other.Begin(1000, 0))
	})
}

func TestWhatAKeyHasUnderWayIsNotForgottenWhenKeysChange(t *testing.T) {
	m := newMemory()
	token := m.create(t, spec("a", access.Publish))
	g := newGuard(t, m, access.Options{Limits: access.Limits{InFlightEvents: 10}})
	before := requireAccepted(t, g, token)
	require.NoError(t, before.Enter(10))
	_, _, err := g.Create(spec("b", access.Read))
	require.NoError(t, err)
	after := requireAccepted(t, g, token)
	retryAfter(t, after.Enter(1))
	before.Leave(10)
	require.NoError(t, after.Enter(10))
}

func TestLimitsHoldWhenManyAskAtOnce(t *testing.T) {
	m := newMemory()
	token := m.create(t, spec("a", access.Publish))
	g := newGuard(t, m, access.Options{Limits: access.Limits{InFlightEvents: 7, InFlightBytes: 70}})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				grant, err := g.Authenticate([]byte(token.Reveal()))
				if err != nil || grant.Begin(10, 0) != nil {
					continue
				}
				if grant.Enter(1) == nil {
					grant.Leave(1)
				}
				grant.End(10)
			}
		})
	}
	all.Wait()
	grant := requireAccepted(t, g, token)
	require.NoError(t, grant.Enter(7), "all was given back")
	require.NoError(t, grant.Begin(70, 0))
}

func grantOf(t testing.TB, m *memory, token access.Token) *access.Grant {
	t.Helper()
	return requireAccepted(t, newGuard(t, m, access.Options{}), token)
}
