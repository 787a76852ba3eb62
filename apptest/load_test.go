package apptest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// load is a number of senders that publish single events and batches, some of
// them again and again, until the server stops answering.
type load struct {
	ledger  *ledger
	round   int
	client  *client.Client
	senders sync.WaitGroup

	answers    atomic.Int64 // requests answered with 200
	duplicates atomic.Int64 // events answered as duplicates
	lost       atomic.Int64 // events of requests without an answer
	unexpected atomic.Pointer[string]
}

// startLoad starts 16 senders whose ids are unique to the round.
func startLoad(s *server, l *ledger, round int) *load {
	run := &load{ledger: l, round: round, client: s.Client}
	ctx := context.WithoutCancel(s.t.Context())
	for n := range 16 {
		events := run.events(s.t, n)
		run.senders.Go(func() { run.send(ctx, n, events) })
	}
	return run
}

// request is an encoded publish with its events.
type request struct {
	events []sekali.Event
	body   []byte
}

// events encodes the requests of a sender ahead, so that sending is all it
// does: even senders send single events, odd ones batches of 20 over several
// topics.
func (l *load) events(t testing.TB, sender int) []request {
	t.Helper()
	size := 1 + sender%2*19
	requests := make([]request, 400)
	for n := range requests {
		for i := range size {
			requests[n].events = append(requests[n].events, event(fmt.Sprint("topic-", (sender+i)%5), fmt.Sprintf("%d-%d-%d-%d", l.round, sender, n, i)))
		}
		requests[n].body = encode(t, requests[n].events...)
	}
	return requests
}

// send sends the requests in turn, every fifth time an earlier one again.
func (l *load) send(ctx context.Context, sender int, requests []request) {
	random := rand.New(rand.NewPCG(uint64(sender), uint64(l.round)))
	for n := 0; n < len(requests); {
		r := &requests[n]
		if n > 0 && random.IntN(5) == 0 {
			r = &requests[random.IntN(n)]
		} else {
			n++
		}
		if !l.note(r, l.publish(ctx, r)) {
			return
		}
	}
}

func (l *load) publish(ctx context.Context, r *request) error {
	answer, err := l.client.PublishOnce(ctx, client.Request{Body: r.body})
	if err != nil {
		return err
	}
	if len(answer.Results) != len(r.events) {
		return fmt.Errorf("%d results for %d events", len(answer.Results), len(r.events))
	}
	for i, result := range answer.Results {
		l.ledger.ack(&r.events[i], result.Seq)
		if result.Outcome == sekali.OutcomeDuplicate {
			l.duplicates.Add(1)
		}
	}
	l.answers.Add(1)
	return nil
}

// note enters a failure into the ledger and reports whether to go on.
func (l *load) note(r *request, err error) bool {
	if err == nil {
		return true
	}
	enter := l.ledger.lose
	refusal, refused := errors.AsType[*client.APIError](err)
	lost, unanswered := errors.AsType[*client.NoAnswerError](err)
	switch {
	case refused && refusal.Status == http.StatusServiceUnavailable && refusal.Code == string(sekali.CodeShuttingDown),
		unanswered && lost.Unsent():
		enter = l.ledger.refuse
	case unanswered:
		l.lost.Add(int64(len(r.events)))
	default:
		text := err.Error()
		l.unexpected.Store(&text)
	}
	for i := range r.events {
		enter(&r.events[i])
	}
	return false
}

// waitAnswers waits until n requests have been answered.
func (l *load) waitAnswers(t testing.TB, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return l.answers.Load() >= n }, patience, shortly, "%d of %d answers", l.answers.Load(), n)
}

// wait waits until every sender has ended by itself.
func (l *load) wait(t testing.TB) {
	t.Helper()
	l.senders.Wait()
	if text := l.unexpected.Load(); text != nil {
		require.Fail(t, "unexpected answer", *text)
	}
}
