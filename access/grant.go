package access

import (
	"fmt"
	"sync/atomic"
	"time"

	"sekali"
)

// Limits bound what each key may have under way. Anonymous requests have none.
type Limits struct {
	InFlightEvents int   // events taken in and not yet answered
	InFlightBytes  int64 // request bodies, from their announcement to their answer
}

// Grant is an accepted key with the count of what it has under way.
type Grant struct {
	key   *Key
	usage *usage
}

// usage outlives the changes of its key.
type usage struct {
	limits Limits
	bucket *bucket // nil: no limit
	events atomic.Int64
	bytes  atomic.Int64
	last   atomic.Int64 // when it was last accepted, in Unix seconds
	// current is the key as it is in force, nil when it is none any more.
	current atomic.Pointer[Key]
}

// Key returns the key; it is not to be changed.
func (g *Grant) Key() *Key { return g.key }

// Ended returns nil while the key opens anything, else the error to refuse with:
// for what takes longer than a key may last.
func (g *Grant) Ended() error {
	key := g.usage.current.Load()
	if key == nil {
		return errUnknown
	}
	return ended(key, time.Now())
}

// touchEvery is how fine the time of the last use is: so rarely is memory
// written that all requests of a key share.
const touchEvery = 30

func (u *usage) touch(now time.Time) {
	if last := u.last.Load(); now.Unix()-last >= touchEvery {
		u.last.CompareAndSwap(last, now.Unix())
	}
}

// Begin admits a request that announces a body of so many bytes and costs so
// much of the rate, 0 when that is not known yet. It refuses with
// CodeRateLimited when the key has used up its rate, or has its limit of bytes
// under way. An admitted request is given back with End.
func (g *Grant) Begin(bodyBytes int64, cost int) error {
	if limit := g.usage.limits.InFlightBytes; g.usage.bytes.Add(bodyBytes) > limit {
		g.usage.bytes.Add(-bodyBytes)
		return g.tooMuch("bytes", limit)
	}
	if err := g.spend(cost); err != nil {
		g.usage.bytes.Add(-bodyBytes)
		return err
	}
	return nil
}

// End gives back what Begin admitted.
func (g *Grant) End(bodyBytes int64) { g.usage.bytes.Add(-bodyBytes) }

// Spend charges the rate for so many events, at least one, or refuses with
// CodeRateLimited. What is refused costs nothing.
func (g *Grant) Spend(events int) error { return g.spend(max(1, events)) }

func (g *Grant) spend(cost int) error {
	if g.usage.bucket == nil {
		return nil
	}
	if wait := g.usage.bucket.take(cost, time.Now()); wait > 0 {
		return g.tooFast(wait)
	}
	return nil
}

// Enter takes so many events into flight, to be given back with Leave, or
// refuses them with CodeRateLimited.
func (g *Grant) Enter(events int) error {
	if limit := int64(g.usage.limits.InFlightEvents); g.usage.events.Add(int64(events)) > limit {
		g.usage.events.Add(-int64(events))
		return g.tooMuch("events", limit)
	}
	return nil
}

// Leave gives back what Enter took.
func (g *Grant) Leave(events int) { g.usage.events.Add(-int64(events)) }

func (g *Grant) tooFast(wait time.Duration) error {
	return &sekali.Error{
		Code: sekali.CodeRateLimited, RetryAfter: wait,
		Message: fmt.Sprintf("the key %q is limited to %g events a second; send the request again, with the same ids, after the time in Retry-After", g.key.Name, g.key.Rate.PerSecond),
	}
}

func (g *Grant) tooMuch(unit string, limit int64) error {
	return &sekali.Error{
		Code: sekali.CodeRateLimited, RetryAfter: time.Second,
		Message: fmt.Sprintf("the key %q has its limit of %d %s in flight; send the request again, with the same ids, after the time in Retry-After", g.key.Name, limit, unit),
	}
}
