package apptest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestFault09SlowDisk makes every fsync take longer than a request may, and lets the disk recover. Meanwhile requests are refused, as late or
// because no more can wait, and goroutines stay bounded; afterwards the server
// takes events as before.
func TestFault09SlowDisk(t *testing.T) {
	seed, l := prove.Seed(t), newLedger()
	s := startServer(t, t.TempDir(), "--request-timeout", "500ms",
		"--max-batch-events", "500", "--max-topic-in-flight-events", "2000", "--max-in-flight-events", "4000")
	run := startLoad(s, l, squeezed(seed))
	run.waitAnswers(t, 200)
	before := memoryOf(t, s.pid(), "VmHWM")
	rounds, goroutines, end := 0, int64(0), time.Now().Add(squeezeTime(t))
	for rounds == 0 || time.Now().Before(end) {
		mend := slowDown(t, 9, s.process, 1500*time.Millisecond)
		late, full := run.refused(sekali.CodeTimeout), run.refused(sekali.CodeOverloaded)+run.refused(sekali.CodeTopicOverloaded)
		require.Eventually(t, func() bool {
			return run.refused(sekali.CodeTimeout) > late && run.refused(sekali.CodeOverloaded)+run.refused(sekali.CodeTopicOverloaded) > full
		}, patience, shortly)
		goroutines = max(goroutines, s.stats().Goroutines)
		requireStatus(t, s, "/healthz", 200)
		mend()
		run.waitStored(t, run.stored.Load()+1000)
		rounds++
	}
	run.finish(t)
	require.Less(t, goroutines, int64(500), "64 connections and 7 topics")
	l.requireSound(s)
	l.resend(s)
	l.requireGrown(s)
	prove.Report(t, prove.Result{Row: 9, Seed: seed, Figures: []prove.Figure{
		{Name: "rounds with fsyncs of 1.5 s", Value: float64(rounds)},
		{Name: "acknowledged", Value: float64(l.acked), Unit: "events"},
		{Name: "refused as late", Value: float64(run.refused(sekali.CodeTimeout)), Unit: "requests"},
		{Name: "refused as overloaded", Value: float64(run.refused(sekali.CodeOverloaded) + run.refused(sekali.CodeTopicOverloaded)), Unit: "requests"},
		{Name: "most memory before", Value: before, Unit: "MiB"},
		{Name: "most memory afterwards", Value: memoryOf(t, s.pid(), "VmHWM"), Unit: "MiB"},
		{Name: "most goroutines", Value: float64(goroutines)},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}})
}

// slowDown has each fsync of a process begin late, until mend is called. It
// uses strace, so it works on any file system.
func slowDown(t testing.TB, row int, p *process, late time.Duration) (mend func()) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		prove.CannotRun(t, row, "ptrace", err.Error())
	}
	tracer := launchCommand(t, exec.Command("strace", "-f", "-p", fmt.Sprint(p.pid()), "-o", os.DevNull, "-e", "trace=fsync,fdatasync",
		"-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", late.Microseconds())))
	within(patience, func() bool { return tracer.ended() || strings.Contains(tracer.stderr.String(), "attached") })
	if tracer.ended() {
		prove.CannotRun(t, row, "ptrace", tracer.stderr.String())
	}
	return func() {
		tracer.signal(syscall.SIGINT)
		tracer.wait()
	}
}

// TestFault09ControlAFastDiskRefusesNothing shows that it is the slow disk that
// the refusals come from.
func TestFault09ControlAFastDiskRefusesNothing(t *testing.T) {
	s := startServer(t, t.TempDir(), "--max-batch-events", "500", "--max-topic-in-flight-events", "20000", "--max-in-flight-events", "30000")
	mend := slowDown(t, 9, s.process, time.Microsecond)
	run := startLoad(s, newLedger(), loadOptions{})
	run.waitAnswers(t, 500)
	run.finish(t)
	mend()
	prove.Report(t, prove.Result{Row: 9, Control: true, Figures: []prove.Figure{
		{Name: "answered with fsyncs of their own pace", Value: float64(run.answers.Load()), Unit: "requests"}, {Name: "refused", Value: 0},
	}})
}
