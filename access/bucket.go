package access

import (
	"sync"
	"time"
)

// bucket is a token bucket that may go into debt: what costs more than there
// is passes while there is anything, and what comes next waits until the debt
// is paid. So batches of any size pass, and the rate holds over time.
type bucket struct {
	rate Rate

	mu     sync.Mutex
	tokens float64
	filled time.Time
}

func newBucket(r Rate, now time.Time) *bucket {
	return &bucket{rate: r, tokens: float64(r.Burst), filled: now}
}

// maxWait is the longest time that a sender is told to wait.
const maxWait = 24 * time.Hour

// take takes the cost and returns 0, or takes nothing and returns how long it
// is until anything can be taken. A cost of 0 only asks.
func (b *bucket) take(cost int, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if since := now.Sub(b.filled); since > 0 {
		b.tokens = min(float64(b.rate.Burst), b.tokens+since.Seconds()*b.rate.PerSecond)
		b.filled = now
	}
	if b.tokens < 1 {
		seconds := min((1-b.tokens)/b.rate.PerSecond, maxWait.Seconds())
		return max(time.Nanosecond, time.Duration(seconds*float64(time.Second)))
	}
	b.tokens -= float64(cost)
	return 0
}
