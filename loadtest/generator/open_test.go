package generator_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/generator"
)

func TestAnOpenLoopSendsWhatItsScheduleSays(t *testing.T) {
	_, target := serve(t)
	s := newStream(10, generator.Repeats{})
	m := generator.Open(t.Context(), dial(t, target, 4), generator.Publishers(target, s, generator.LeaveOut),
		generator.Schedule{PerSecond: 200, MaxBacklog: time.Minute}, generator.Limits{Duration: 250 * time.Millisecond, Slice: 50 * time.Millisecond})
	require.NoError(t, m.Err())
	require.EqualValues(t, 50, m.Requests)
	require.Equal(t, m.Requests*10, m.Stored)
	require.Zero(t, m.Unsent)
}

// TestAnOpenLoopCountsTheTimeThatARequestHadToWait holds a server's first
// answer until the schedule has planned more: those must not look fast because
// they were sent late.
func TestAnOpenLoopCountsTheTimeThatARequestHadToWait(t *testing.T) {
	fake, target := serve(t)
	const pause = 100 * time.Millisecond
	hold := sync.OnceFunc(func() { <-time.After(pause) })
	fake.refuse = func(int) int { hold(); return 0 }
	s := generator.NewStream(generator.NewRun(1, 2, 3), 10, 1, generator.Repeats{}, 1)
	m := generator.Open(t.Context(), dial(t, target, 1), generator.Publishers(target, s, generator.LeaveOut),
		generator.Schedule{PerSecond: 200, MaxBacklog: time.Minute}, generator.Limits{Duration: 2 * pause})
	require.NoError(t, m.Err())
	require.GreaterOrEqual(t, m.Stall, pause)
	require.EqualValues(t, 40, m.Requests)
	late := int64(0)
	for _, bar := range m.Latency.Distribution() {
		if bar.From >= (pause / 4).Microseconds() {
			late += bar.Count
		}
	}
	require.Greater(t, late, int64(5), "a request every 5 ms was planned while the server held the first")
}

func TestAnOpenLoopBoundsWhatWaits(t *testing.T) {
	fake, target := serve(t)
	fake.header.Set("Retry-After", "1")
	fake.refuse = func(int) int { return http.StatusServiceUnavailable }
	s := newStream(10, generator.Repeats{})
	m := generator.Open(t.Context(), dial(t, target, 4), generator.Publishers(target, s, generator.LeaveOut),
		generator.Schedule{PerSecond: 10_000_000, MaxBacklog: time.Millisecond}, generator.Limits{Duration: 20 * time.Millisecond})
	require.NoError(t, m.Err())
	require.Positive(t, m.Unsent, "no machine sends ten million requests per second")
	require.EqualValues(t, 200_000, m.Requests+m.Unsent, "each that was planned is accounted for")
	require.Equal(t, m.Requests, m.Refused)
	require.Zero(t, m.Events())
}

func TestALoopThatIsInterruptedSaysSo(t *testing.T) {
	fake, target := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fake.refuse = func(n int) int {
		if n == 5 {
			cancel()
		}
		return 0
	}
	s := newStream(10, generator.Repeats{})
	m := generator.Closed(ctx, dial(t, target, 4), generator.Publishers(target, s, generator.SendAgain), generator.Limits{})
	require.ErrorContains(t, m.Err(), "interrupted")
}

func TestAServerThatDiesEndsTheLoop(t *testing.T) {
	fake, target := serve(t)
	fake.refuse = func(n int) int {
		if n >= 5 {
			panic(http.ErrAbortHandler)
		}
		return 0
	}
	m := publish(t, target, newStream(10, generator.Repeats{}), 1000)
	require.ErrorContains(t, m.Err(), "read the answer")
	require.Less(t, m.Requests, int64(10))
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	target, err := generator.NewTarget("http://127.0.0.1:1", "")
	require.NoError(t, err)
	_, err = generator.Dial(t.Context(), target, 2)
	require.ErrorContains(t, err, "connect to the server")
}

func TestAWrongURLIsAnError(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:80", "ftp://host", "http://", "http://%zz"} {
		_, err := generator.NewTarget(base, "")
		require.Error(t, err, base)
	}
}
