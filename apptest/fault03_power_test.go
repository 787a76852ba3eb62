package apptest_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

// cuts are the ways to cut the power.
var cuts = []struct {
	name string
	how  cut
}{{"the file system is shut down", byShutdown}, {"the disk is copied", byCopy}}

// TestFault03PowerLossOnARealFileSystem cuts the power of a disk of its own
// under load: whatever ext4 or xfs had not written by then is gone. Every event
// that was answered must be there, and the file system is the same as before
// for what comes after.
func TestFault03PowerLossOnARealFileSystem(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			seed := prove.Seed(t)
			power := powerCuts{random: rand.New(rand.NewPCG(seed, 3)), seed: seed}
			n := prove.Count(t, "cuts", 2, 200)
			for power.done < n {
				power.oneDisk(t, kind, min(n-power.done, 20))
			}
			prove.Report(t, prove.Result{Row: 3, Seed: seed, Figures: []prove.Figure{
				{Name: "cuts", Value: float64(power.done)},
				{Name: "acknowledged", Value: float64(power.acked), Unit: "events"},
				{Name: "without an answer", Value: float64(power.unknown), Unit: "events"},
				{Name: "lost or doubled", Value: 0, Unit: "events"},
				{Name: "ready after a cut, longest", Value: power.ready.Seconds(), Unit: "s"},
			}})
		})
	}
}

// powerCuts sums up what the cuts found.
type powerCuts struct {
	random               *rand.Rand
	seed                 uint64
	done, acked, unknown int
	ready                time.Duration
}

// oneDisk cuts the power of one disk n times, in turns in both ways. The first
// cut finds a data directory that has just been made.
func (p *powerCuts) oneDisk(t *testing.T, kind string, n int) {
	t.Helper()
	d, l := newDisk(t, 3, kind, 600), newLedger()
	data := filepath.Join(d.dir, "data")
	for range n {
		s := p.start(t, data)
		l.requireGrown(s)
		l.resend(s)
		p.underLoad(t, d, s, l, cuts[p.done%len(cuts)].how)
		p.done++
	}
	s := p.start(t, data)
	l.requireSound(s)
	l.resend(s)
	l.requireGrown(s)
	p.acked += l.acked
	s.kill()
	d.unmount()
}

func (p *powerCuts) start(t *testing.T, data string, args ...string) *server {
	t.Helper()
	launched := time.Now()
	s := startServer(t, data, args...)
	if p.done > 0 {
		p.ready = max(p.ready, time.Since(launched))
	}
	return s
}

func (p *powerCuts) underLoad(t *testing.T, d *disk, s *server, l *ledger, how cut) {
	t.Helper()
	run := startLoad(s, l, loadOptions{seed: p.seed + uint64(p.done)})
	run.waitAnswers(t, 50)
	<-time.After(time.Duration(p.random.Int64N(int64(800 * time.Millisecond))))
	d.cutPower(s.process, how)
	run.wait(t)
	p.unknown += len(l.unknown())
}

// TestFault03ControlRelaxedLosesWithThePower does the same to a server that
// does not sync before it answers: the cuts must be seen to take something. A
// cut that comes right behind a checkpoint takes nothing, so there are several.
func TestFault03ControlRelaxedLosesWithThePower(t *testing.T) {
	for _, way := range cuts {
		t.Run(way.name, func(t *testing.T) {
			seed := prove.Seed(t)
			power := powerCuts{random: rand.New(rand.NewPCG(seed, 3)), seed: seed}
			d, lost := newDisk(t, 3, "ext4", 600), 0
			for lost == 0 {
				require.Less(t, power.done, 10, "no cut has taken anything")
				lost = power.relaxed(t, d, way.how)
				power.done++
			}
			prove.Report(t, prove.Result{Row: 3, Seed: seed, Control: true, Figures: []prove.Figure{
				{Name: "cuts", Value: float64(power.done)},
				{Name: "acknowledged without a sync", Value: float64(power.acked), Unit: "events"},
				{Name: "lost", Value: float64(lost), Unit: "events"},
			}})
		})
	}
}

// relaxed cuts the power under a server that does not sync and returns how many
// acknowledged events are gone.
func (p *powerCuts) relaxed(t *testing.T, d *disk, how cut) int {
	t.Helper()
	data, l := filepath.Join(d.dir, fmt.Sprint("data-", p.done)), newLedger()
	s := p.start(t, data)
	l.publishNew(s, 100) // synced
	s.kill()

	s = p.start(t, data, "--durability", "relaxed")
	p.underLoad(t, d, s, l, how)
	p.acked += l.acked
	s = p.start(t, data)
	wrong := l.compare(s)
	s.kill()
	if wrong.count > 0 {
		requireMistake(t, wrong, "and is at 0")
	}
	return wrong.count
}
