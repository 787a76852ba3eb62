package apptest_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// shortly is how often a test looks.
const shortly = 2 * time.Millisecond

func TestKillUnderLoadLosesNothingThatWasAcknowledged(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	counted := int64(0) // duplicates that the counter may show at most
	for round := range 5 {
		s := startServer(t, dir)
		l.requireSound(s)
		before := s.stats().DuplicateDropped
		l.resend(s)
		require.LessOrEqual(t, before, counted, "no more duplicates than were sent")
		counted = s.stats().DuplicateDropped

		run := startLoad(s, l, round)
		run.waitAnswers(t, int64(100*(round+1)))
		s.kill()
		run.wait(t)
		counted += run.duplicates.Load() + run.lost.Load()
		t.Logf("round %d: %d acknowledged, %d unknown, %d refused", round, len(l.acked), len(l.unknown), len(l.refused))
	}
	s := startServer(t, dir)
	l.requireSound(s)
	l.resend(s)
	l.requireSound(s)
	require.Greater(t, len(l.acked), 1000)
}

// TestTheDuplicateCounterIsWrittenSoonAfterTheAnswer kills the server when its
// log shows that it has written after the last answers: what was answered two
// commits before the kill must have been counted.
func TestTheDuplicateCounterIsWrittenSoonAfterTheAnswer(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	const sent = 300
	for i := range sent {
		s.publish(event("t", fmt.Sprint(i%3)))
	}
	want := s.stats()
	require.EqualValues(t, sent-3, want.DuplicateDropped)
	written := func() time.Time {
		info, err := os.Stat(filepath.Join(dir, "sekali.db-wal"))
		require.NoError(t, err)
		return info.ModTime()
	}
	for range 2 {
		before := written()
		s.publish(event("t", "0"))
		require.Eventually(t, func() bool { return written().After(before) }, patience, shortly)
	}
	s.kill()
	s = startServer(t, dir)
	got := s.stats()
	require.GreaterOrEqual(t, got.DuplicateDropped, want.DuplicateDropped)
	require.Equal(t, want.UniqueProcessed, got.UniqueProcessed)
	detail, err := s.Event(t.Context(), "t", "1")
	require.NoError(t, err)
	require.EqualValues(t, sent/3-1, detail.DuplicateCount)
}

func TestTermUnderLoadAnswersWhatItTookAndLosesNothing(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	for round := range 3 {
		s := startServer(t, dir)
		run := startLoad(s, l, round)
		run.waitAnswers(t, 100)
		signalled := time.Now()
		s.signal(syscall.SIGTERM)
		require.Equal(t, 0, s.wait())
		t.Logf("round %d: stopped after %v", round, time.Since(signalled))
		run.wait(t)
		t.Logf("round %d: %d acknowledged, %d unknown, %d refused", round, len(l.acked), len(l.unknown), len(l.refused))
		require.NotNil(t, findLine(s.stderr.String(), "stopped"))
		duplicates := run.duplicates.Load()

		s = startServer(t, dir)
		l.requireSound(s)
		stored := make(map[identity]bool)
		for _, r := range s.rows() {
			stored[identity{r.Topic, r.ID}] = true
		}
		for i := range l.unknown {
			require.False(t, stored[i], "%v was taken and not answered", i)
		}
		if round == 0 {
			require.Equal(t, duplicates, s.stats().DuplicateDropped, "a clean stop loses no count")
		}
		l.resend(s)
		s.signal(syscall.SIGTERM)
		require.Equal(t, 0, s.wait())
	}
	require.Greater(t, len(l.acked), 300)
}

// TestAnIOErrorStopsTheServerWithItsOwnExitCode limits the size of files, so
// that writing to the WAL fails in the middle of the work.
func TestAnIOErrorStopsTheServerWithItsOwnExitCode(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	limited := exec.Command("sh", "-c", `ulimit -f 2048; exec "$0" "$@"`, binary,
		"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json")
	s := served(t, launchCommand(t, limited))
	once, err := client.New(s.url, client.Options{MaxAttempts: 1})
	require.NoError(t, err)
	defer once.Close()

	var failure error
	for n := 0; failure == nil; n++ {
		require.Less(t, n, 10_000, "the limit has no effect")
		var events []sekali.Event
		for i := range 100 {
			events = append(events, event("t", fmt.Sprintf("%d-%d", n, i)))
		}
		var results []client.Result
		results, failure = once.Publish(t.Context(), events)
		for i := range events {
			if failure == nil {
				l.ack(&events[i], results[i].Seq)
			} else {
				l.lose(&events[i])
			}
		}
	}
	var refusal *client.APIError
	require.ErrorAs(t, failure, &refusal)
	require.Equal(t, http.StatusServiceUnavailable, refusal.Status)
	require.Equal(t, string(sekali.CodeStorageFailed), refusal.Code)
	require.Equal(t, 74, s.wait())
	require.Contains(t, s.stderr.String(), "the storage failed")

	s = startServer(t, dir)
	l.requireSound(s)
	l.resend(s)
	l.requireSound(s)
	require.Greater(t, len(l.acked), 100)
}
