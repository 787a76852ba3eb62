package apptest_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
	"sekali/internal/prove"
)

// TestFault13ABadNetwork has senders publish through a network that cuts,
// resets and half closes connections, loses answers, delays, splits and merges
// what it carries. They send again, with the same ids, what was not answered:
// every event is counted once.
func TestFault13ABadNetwork(t *testing.T) {
	seed := prove.Seed(t)
	requests := int64(prove.Count(t, "network-requests", 3000, 10_000_000))
	total := badNetwork{had: make(map[string]int)}
	for total.answers < requests {
		total.oneServer(t, seed+uint64(total.answers), min(requests-total.answers, 500_000))
	}
	figures := []prove.Figure{
		{Name: "requests answered", Value: float64(total.answers)},
		{Name: "attempts without an answer", Value: float64(total.unanswered)},
		{Name: "refused because half of them came", Value: float64(total.halves), Unit: "requests"},
		{Name: "acknowledged", Value: float64(total.acked), Unit: "events"},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}
	for _, name := range slices.Sorted(maps.Keys(troubles)) {
		require.NotZero(t, total.had[name], name)
		figures = append(figures, prove.Figure{Name: name, Value: float64(total.had[name]), Unit: "connections"})
	}
	prove.Report(t, prove.Result{Row: 13, Seed: seed, Figures: figures})
}

// badNetwork sums up what came of it.
type badNetwork struct {
	answers, unanswered, halves int64
	acked                       int
	had                         map[string]int // connections by trouble
}

// oneServer has one server answer n requests through a bad network.
func (b *badNetwork) oneServer(t *testing.T, seed uint64, n int64) {
	t.Helper()
	s, l := startServer(t, t.TempDir()), newLedger()
	run, network := throughBadNetwork(t, s, l, loadOptions{seed: seed, batch: 10, persistent: true})
	for answers := int64(0); answers < n; answers = min(n, answers+1000) { // each step in its time
		run.waitAnswers(t, answers)
	}
	run.waitAnswers(t, n)
	run.finish(t)
	require.Empty(t, l.unknown(), "everything was answered in the end")
	l.requireSound(s)
	s.kill()

	b.answers += run.answers.Load()
	b.unanswered += run.unanswered.Load()
	b.halves += run.refused(codeMalformed)
	b.acked += l.acked
	network.addTo(b.had)
}

// throughBadNetwork starts senders with a proxy between them and the server.
func throughBadNetwork(t *testing.T, s *server, l *ledger, options loadOptions) (*load, *proxy) {
	t.Helper()
	network := newProxy(t, s.url, options.seed)
	options.goOn = []sekali.Code{codeMalformed} // half of a request
	c, err := client.New(network.url, client.Options{RequestTimeout: 10 * time.Second, MaxAttempts: 1})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return startLoadWith(t, c, l, options), network
}

// TestFault13ControlASenderThatRenamesIsSeen sends again what was not answered
// with other ids: the same network must be seen to have them stored twice.
func TestFault13ControlASenderThatRenamesIsSeen(t *testing.T) {
	seed, l := prove.Seed(t), newLedger()
	s := startServer(t, t.TempDir())
	run, _ := throughBadNetwork(t, s, l, loadOptions{seed: seed, persistent: true, renaming: true})
	require.Eventually(t, func() bool { return run.unanswered.Load() >= 100 }, patience, shortly)
	run.finish(t)
	wrong := l.compare(s)
	require.Positive(t, wrong.doubled)
	prove.Report(t, prove.Result{Row: 13, Seed: seed, Control: true, Figures: []prove.Figure{
		{Name: "attempts without an answer", Value: float64(run.unanswered.Load())},
		{Name: "doubled", Value: float64(wrong.doubled), Unit: "events"},
	}})
}
