package apptest_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// TestFault08TermUnderFullLoad ends the server with SIGTERM while 64 senders
// publish: what it took it answers, what it answered is stored, and it exits
// with 0.
func TestFault08TermUnderFullLoad(t *testing.T) {
	seed := prove.Seed(t)
	dir, l := t.TempDir(), newLedger()
	random := rand.New(rand.NewPCG(seed, 8))
	var longest time.Duration
	answers, terms := int64(0), prove.Count(t, "terms", 5, 200)
	for n := range terms {
		if n%50 == 49 {
			dir, l = t.TempDir(), newLedger()
		}
		s := startServer(t, dir)
		l.requireGrown(s)
		counted := s.stats().DuplicateDropped
		run := startLoad(s, l, loadOptions{seed: seed + uint64(n)})
		run.waitAnswers(t, 100+random.Int64N(500))
		signalled := time.Now()
		s.signal(syscall.SIGTERM)
		s.wait()
		longest = max(longest, time.Since(signalled))
		run.wait(t)
		answers += run.answers.Load()

		again := startServer(t, dir)
		require.Empty(t, untidy(s, again, l))
		require.Equal(t, counted+run.duplicates.Load(), again.stats().DuplicateDropped, "a clean stop loses no count")
		l.resend(again)
		again.signal(syscall.SIGTERM)
		require.Equal(t, 0, again.wait())
	}
	prove.Report(t, prove.Result{Row: 8, Seed: seed, Figures: []prove.Figure{
		{Name: "stops", Value: float64(terms)},
		{Name: "answered", Value: float64(answers), Unit: "requests"},
		{Name: "answered and not stored", Value: 0, Unit: "events"},
		{Name: "taken and not answered", Value: 0, Unit: "events"},
		{Name: "from SIGTERM to exit 0, longest", Value: longest.Seconds(), Unit: "s"},
	}})
}

// untidy returns what is wrong with the end of a server, judged by what the
// next one on its data says.
func untidy(ended, next *server, l *ledger) (wrong []string) {
	if ended.code != 0 {
		wrong = append(wrong, fmt.Sprintf("exit code %d", ended.code))
	}
	if findLine(ended.stderr.String(), "stopped") == nil {
		wrong = append(wrong, "it did not log that it stopped")
	}
	wrong = append(wrong, l.compare(next).texts...)
	for _, n := range l.unknown() {
		if l.sound.seqOf(n) != 0 {
			wrong = append(wrong, fmt.Sprintf("event %d was taken and not answered", n))
		}
	}
	return wrong
}

// TestFault08ControlAKilledServerIsUntidy kills servers instead, until one had
// stored what it did not get to answer.
func TestFault08ControlAKilledServerIsUntidy(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	for n := 0; ; n++ {
		require.Less(t, n, 50, "no kill came between a commit and its answers")
		s := startServer(t, dir)
		run := startLoad(s, l, loadOptions{seed: uint64(n)})
		run.waitAnswers(t, 100)
		s.kill()
		run.wait(t)
		next := startServer(t, dir)
		wrong := untidy(s, next, l)
		require.Contains(t, wrong, "exit code -1")
		require.Contains(t, wrong, "it did not log that it stopped")
		if len(wrong) > 2 {
			require.Contains(t, wrong[2], "was taken and not answered")
			prove.Report(t, prove.Result{Row: 8, Control: true, Figures: []prove.Figure{
				{Name: "kills until one was seen to lose an answer", Value: float64(n + 1)},
			}})
			return
		}
		l.resend(next)
		next.kill()
	}
}
