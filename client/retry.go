package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Retry calls attempt until it succeeds, fails for good (see Retryable), has
// been called MaxAttempts times, or ctx ends; it pauses in between as Options
// says. The last attempt's error is in the chain of what it returns, and so is
// ctx's when that ended. It returns at once when the server asks for a pause
// that ctx does not leave time for.
func (c *Client) Retry(ctx context.Context, attempt func(context.Context) error) error {
	for n := 1; ; n++ {
		err := attempt(ctx)
		if err == nil || !Retryable(err) {
			return err
		}
		if ctx.Err() != nil {
			return ended(context.Cause(ctx), err)
		}
		if n >= c.options.MaxAttempts {
			return fmt.Errorf("gave up after %d attempts: %w", n, err)
		}
		if err := pause(ctx, c.backoff(n, err), err); err != nil {
			return err
		}
	}
}

// pause waits for d. When ctx ends first, or is known to, it returns an error
// that also carries cause.
func pause(ctx context.Context, d time.Duration, cause error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return ended(context.DeadlineExceeded, cause)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(context.Cause(ctx), cause)
	}
}

func ended(why, lastAttempt error) error {
	return fmt.Errorf("%w; the last attempt: %w", why, lastAttempt)
}

// backoff returns the pause after the n-th attempt, which failed with err.
func (c *Client) backoff(n int, err error) time.Duration {
	if api, ok := errors.AsType[*APIError](err); ok && api.RetryAfter > 0 {
		return api.RetryAfter + jitter(c.options.MinBackoff)
	}
	ceiling := c.options.MinBackoff
	for i := 1; i < n && ceiling < c.options.MaxBackoff; i++ {
		ceiling *= 2
	}
	return jitter(min(ceiling, c.options.MaxBackoff))
}

// jitter draws evenly from [0, d].
func jitter(d time.Duration) time.Duration { return rand.N(d + 1) }
