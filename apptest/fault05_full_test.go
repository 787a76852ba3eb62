package apptest_test

import (
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestFault05DiskFull fills the disk under load and frees it again. While it is
// full, events are refused with storage_full, the server says that it is not
// ready, and reading goes on; when there is
// space, the same process takes events again. Nothing that was acknowledged is
// lost, and a refused event is counted once when it is sent again.
func TestFault05DiskFull(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			seed := prove.Seed(t)
			full := fullDisks{seed: seed}
			n := prove.Count(t, "full-cycles", 2, 50)
			for full.cycles < n {
				full.oneDisk(t, kind, min(n-full.cycles, 5))
				prove.Progress(t, full.cycles, n, "cycles")
			}
			prove.Report(t, prove.Result{Row: 5, Seed: seed, Figures: []prove.Figure{
				{Name: "cycles", Value: float64(full.cycles)},
				{Name: "acknowledged", Value: float64(full.acked), Unit: "events"},
				{Name: "refused with storage_full", Value: float64(full.refused), Unit: "requests"},
				{Name: "lost or doubled", Value: 0, Unit: "events"},
				{Name: "restarts", Value: 0},
				{Name: "first event stored after space was freed, longest", Value: full.recovered.Seconds(), Unit: "s"},
			}})
		})
	}
}

// fullDisks sums up what the cycles found.
type fullDisks struct {
	seed          uint64
	cycles, acked int
	refused       int64
	recovered     time.Duration
}

var whileFull = loadOptions{senders: 16, goOn: []sekali.Code{sekali.CodeStorageFull}}

// oneDisk fills and frees one disk n times.
func (f *fullDisks) oneDisk(t *testing.T, kind string, n int) {
	t.Helper()
	d, l := newDisk(t, 5, kind, 300), newLedger()
	data := filepath.Join(d.dir, "data")
	s := startServer(t, data)
	for range n {
		f.cycle(t, d, s, l)
	}
	require.False(t, s.ended(), "it was the same process all the time")
	l.requireSound(s)
	l.resend(s)
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.wait())

	s = startServer(t, data)
	l.requireSound(s)
	f.acked += l.acked
	s.kill()
	d.discard()
}

// cycle fills the disk under load until many requests were refused, then frees
// it and waits until events are stored again.
func (f *fullDisks) cycle(t *testing.T, d *disk, s *server, l *ledger) {
	t.Helper()
	options := whileFull
	options.seed = f.seed + uint64(f.cycles)
	run := startLoad(s, l, options)
	run.waitAnswers(t, 20)
	free := d.fill()
	require.Eventually(t, func() bool { return run.refused(sekali.CodeStorageFull) >= 50 }, patience, shortly)
	require.Eventually(t, func() bool { return statusOf(t, s, "/readyz") == http.StatusInsufficientStorage }, patience, shortly)
	requireStatus(t, s, "/healthz", http.StatusOK)
	requireStatus(t, s, "/events?limit=5", http.StatusOK)
	requireStatus(t, s, "/stats", http.StatusOK)

	free()
	freed, stored := time.Now(), run.stored.Load()
	run.waitStored(t, stored+1)
	f.recovered = max(f.recovered, time.Since(freed))
	require.Eventually(t, func() bool { return s.Ready(t.Context()) == nil }, patience, shortly)
	run.waitStored(t, stored+100)
	run.finish(t)
	f.refused += run.refused(sekali.CodeStorageFull)
	f.cycles++
}

// TestFault05ControlADiskWithRoomRefusesNothing shows that the refusals come
// from the lack of space, and that freeing it is what ends them.
func TestFault05ControlADiskWithRoomRefusesNothing(t *testing.T) {
	d, l := newDisk(t, 5, "tmpfs", 300), newLedger()
	s := startServer(t, filepath.Join(d.dir, "data"))
	run := startLoad(s, l, whileFull)
	run.waitAnswers(t, 500)
	require.Zero(t, run.refused(sekali.CodeStorageFull))

	d.fill()
	require.Eventually(t, func() bool { return run.refused(sekali.CodeStorageFull) >= 50 }, patience, shortly)
	for stored := int64(-1); stored != run.stored.Load(); { // small commits may fit into what is left of a page
		stored = run.stored.Load()
		refused := run.refused(sekali.CodeStorageFull)
		require.Eventually(t, func() bool { return run.refused(sekali.CodeStorageFull) >= refused+200 }, patience, shortly)
	}
	run.finish(t)
	prove.Report(t, prove.Result{Row: 5, Control: true, Figures: []prove.Figure{
		{Name: "stored until it was full", Value: float64(run.stored.Load()), Unit: "events"},
		{Name: "refused while it stayed full", Value: float64(run.refused(sekali.CodeStorageFull)), Unit: "requests"},
	}})
}
