package apptest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// loadOptions say what senders do.
type loadOptions struct {
	senders int // 0 is 64
	seed    uint64
	// batch is the size of the requests of odd senders; the others send single
	// events. 0 is 50.
	batch int
	// goOn lists the codes of refusals after which senders go on; any other
	// refusal but shutting_down is a failure of the test.
	goOn []sekali.Code
	// persistent senders send a request again, with the same ids, until it is
	// answered.
	persistent bool
	// renaming ones do so with other ids, which is a mistake.
	renaming bool
}

// load is a number of senders that publish numbered events, one in five of them
// one of the latest again, whoever sent that first, until the server stops
// answering or finish is called.
type load struct {
	loadOptions
	ledger  *ledger
	client  *client.Client
	senders sync.WaitGroup
	stop    context.CancelFunc // ends the senders between two requests

	answers    atomic.Int64 // requests answered with 200
	events     atomic.Int64 // events in them
	stored     atomic.Int64 // of which were new
	duplicates atomic.Int64 // and of which were not
	lost       atomic.Int64 // events of requests without an answer
	unanswered atomic.Int64 // those requests
	refusals   sync.Map     // *atomic.Int64 by sekali.Code
	unexpected atomic.Pointer[string]
}

func startLoad(s *server, l *ledger, options loadOptions) *load {
	return startLoadWith(s.t, s.Client, l, options)
}

func startLoadWith(t testing.TB, c *client.Client, l *ledger, options loadOptions) *load {
	run := &load{loadOptions: options, ledger: l, client: c}
	if run.loadOptions.senders == 0 {
		run.loadOptions.senders = 64
	}
	if run.batch == 0 {
		run.batch = 50
	}
	stopped, stop := context.WithCancel(t.Context())
	run.stop = stop
	for n := range run.loadOptions.senders {
		run.senders.Go(func() { run.send(context.WithoutCancel(t.Context()), stopped, n) })
	}
	t.Cleanup(stop)
	return run
}

// request is an encoded publish with the numbers of its events.
type request struct {
	numbers []int
	body    []byte
}

// send publishes until it is stopped or nobody answers.
func (l *load) send(ctx, stopped context.Context, sender int) {
	random := rand.New(rand.NewPCG(l.seed, uint64(sender)))
	for stopped.Err() == nil {
		r, err := l.next(random, sender)
		if err != nil {
			l.fail(err)
			return
		}
		l.ledger.sending(r.numbers...)
		if !l.deliver(ctx, stopped, r) {
			return
		}
	}
}

// deliver publishes a request, as often as a persistent sender must, and
// reports whether to go on.
func (l *load) deliver(ctx, stopped context.Context, r request) bool {
	for {
		err := l.publish(ctx, r)
		if !l.note(stopped, r, err) {
			return false
		}
		if err == nil || !l.persistent {
			return true
		}
		if l.renaming {
			r.body = bytes.ReplaceAll(r.body, []byte(`"e-`), []byte(`"e-again-`))
		}
	}
}

// next makes a request of new events with repeats of late ones in between.
func (l *load) next(random *rand.Rand, sender int) (r request, err error) {
	size := 1
	if sender%2 == 1 {
		size = 1 + random.IntN(l.batch)
	}
	first := l.ledger.take(size)
	r.numbers = make([]int, size)
	for i := range r.numbers {
		r.numbers[i] = first + i
		if random.IntN(5) == 0 {
			r.numbers[i] = max(0, first+i-random.IntN(4000))
		}
	}
	r.body, err = encode(numberedAll(r.numbers)...)
	return r, err
}

func (l *load) publish(ctx context.Context, r request) error {
	answer, err := l.client.PublishOnce(ctx, client.Request{Body: r.body})
	if err != nil {
		return err
	}
	if len(answer.Results) != len(r.numbers) {
		return fmt.Errorf("%d results for %d events", len(answer.Results), len(r.numbers))
	}
	l.ledger.ack(r.numbers, answer.Results)
	l.stored.Add(answer.Stored)
	l.duplicates.Add(answer.Duplicates)
	l.events.Add(int64(len(r.numbers)))
	l.answers.Add(1)
	return nil
}

// nothingStored lists the refusals that say so; after any other the events may
// be stored.
var nothingStored = []sekali.Code{sekali.CodeShuttingDown, sekali.CodeOverloaded, sekali.CodeTopicOverloaded, codeMalformed}

// codeMalformed refuses a request that ends before its end.
const codeMalformed = sekali.Code("malformed")

// note enters a failure into the ledger and reports whether to go on.
func (l *load) note(stopped context.Context, r request, err error) bool {
	if err == nil {
		return true
	}
	refusal, refused := errors.AsType[*client.APIError](err)
	lost, unanswered := errors.AsType[*client.NoAnswerError](err)
	var code sekali.Code
	switch {
	case refused:
		code = sekali.Code(refusal.Code)
		l.count(code)
		if !slices.Contains(nothingStored, code) {
			l.ledger.lose(r.numbers)
		}
	case unanswered && !lost.Unsent():
		l.lost.Add(int64(len(r.numbers)))
		l.unanswered.Add(1)
		l.ledger.lose(r.numbers)
	}
	switch {
	case slices.Contains(l.goOn, code):
		return rest(stopped) || l.persistent // whose earlier attempt may be stored
	case unanswered && l.persistent:
		return true
	case !unanswered && code != sekali.CodeShuttingDown:
		l.fail(err)
	}
	return false
}

// rest keeps a refused sender from asking again at once.
func rest(stopped context.Context) bool {
	select {
	case <-stopped.Done():
		return false
	case <-time.After(5 * time.Millisecond):
		return true
	}
}

func (l *load) count(code sekali.Code) {
	n, _ := l.refusals.LoadOrStore(code, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// refused returns how many requests were refused with this code.
func (l *load) refused(code sekali.Code) int64 {
	n, found := l.refusals.Load(code)
	if !found {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

func (l *load) fail(err error) {
	text := err.Error()
	l.unexpected.Store(&text)
}

// waitAnswers waits until n requests have been answered.
func (l *load) waitAnswers(t testing.TB, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return l.answers.Load() >= n }, patience, shortly, "%d answers are due", n)
}

// waitStored waits until n new events have been stored.
func (l *load) waitStored(t testing.TB, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return l.stored.Load() >= n }, patience, shortly, "%d new events are due", n)
}

// wait waits until every sender has ended by itself.
func (l *load) wait(t testing.TB) {
	t.Helper()
	l.senders.Wait()
	if text := l.unexpected.Load(); text != nil {
		require.Fail(t, "unexpected answer", *text)
	}
}

// finish lets the senders end their requests.
func (l *load) finish(t testing.TB) {
	t.Helper()
	l.stop()
	l.wait(t)
}

// encode returns the body of a publish: one event as the bare object that
// single senders write, more as an array.
func encode(events ...sekali.Event) (body []byte, err error) {
	if len(events) == 1 {
		return client.AppendEvent(nil, &events[0])
	}
	body = []byte{'['}
	for i := range events {
		if i > 0 {
			body = append(body, ',')
		}
		if body, err = client.AppendEvent(body, &events[i]); err != nil {
			return nil, err
		}
	}
	return append(body, ']'), nil
}

// requireStatus requires that a path answers with this status.
func requireStatus(t testing.TB, s *server, path string, want int) {
	t.Helper()
	require.Equal(t, want, statusOf(t, s, path), path)
}

func statusOf(t testing.TB, s *server, path string) int {
	t.Helper()
	response, err := http.Get(s.url + path) //nolint:noctx // The test's own server, and the test ends it.
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
