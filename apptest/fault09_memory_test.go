package apptest_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// TestFault09MemoryCap runs a server in 256 MiB, the pages of its files
// included, and has it serve 64 senders of large batches while 500 connections
// send large bodies that never end. It refuses what it has no room for, lives,
// and loses nothing.
func TestFault09MemoryCap(t *testing.T) {
	seed := prove.Seed(t)
	group := newMemoryGroup(t, 9, 256)
	capped := cappedServers{seed: seed, end: time.Now().Add(squeezeTime(t))}
	for capped.rounds == 0 || time.Now().Before(capped.end) {
		capped.oneServer(t, group)
	}
	prove.Report(t, prove.Result{Row: 9, Seed: seed, Figures: []prove.Figure{
		{Name: "memory cap", Value: 256, Unit: "MiB"},
		{Name: "most memory of the process", Value: capped.most, Unit: "MiB"},
		{Name: "rounds of 500 endless bodies", Value: float64(capped.rounds)},
		{Name: "acknowledged meanwhile", Value: float64(capped.acked), Unit: "events"},
		{Name: "refused as overloaded", Value: float64(capped.refused), Unit: "requests"},
		{Name: "killed by the kernel", Value: 0, Unit: "servers"},
		{Name: "lost or doubled", Value: 0, Unit: "events"},
	}})
}

// cappedServers sums up what became of the servers in little memory.
type cappedServers struct {
	seed          uint64
	end           time.Time
	most          float64 // MiB
	rounds, acked int
	refused       int64
}

// oneServer runs a server until the end, or until its ids alone need the
// memory: after two million events another one starts.
func (c *cappedServers) oneServer(t *testing.T, group *memoryGroup) {
	t.Helper()
	l := newLedger()
	s := served(t, group.launch(t, "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--log-format", "json"))
	run := startLoad(s, l, squeezed(c.seed+uint64(c.rounds)))
	for first := c.rounds; c.rounds == first || time.Now().Before(c.end) && run.stored.Load() < 2_000_000; c.rounds++ {
		stop := endlessBodies(t, s, 500)
		run.waitStored(t, run.stored.Load()+1000)
		stop()
		run.waitStored(t, run.stored.Load()+1000)
	}
	run.finish(t)
	c.most = max(c.most, memoryOf(t, s.pid(), "VmHWM"))
	l.requireSound(s)
	c.acked += l.acked
	c.refused += run.refused(sekali.CodeOverloaded)
	s.kill()
}

// squeezed senders go on when they are refused for lack of room or time.
func squeezed(seed uint64) loadOptions {
	return loadOptions{seed: seed, batch: 500, goOn: []sekali.Code{sekali.CodeOverloaded, sekali.CodeTopicOverloaded, sekali.CodeTimeout}}
}

// endlessBodies opens n connections that announce a body of 4 MiB and send
// half of it, as long as the server is there.
func endlessBodies(t testing.TB, s *server, n int) (stop func()) {
	t.Helper()
	head := "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4194304\r\n\r\n["
	half := bytes.Repeat([]byte(" "), 2<<20)
	var open []net.Conn
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			require.True(t, within(patience, s.ended), "%v", err)
			break
		}
		open = append(open, conn)
		go func() {
			_, _ = io.WriteString(conn, head) // the server may refuse and close at any time
			_, _ = conn.Write(half)
		}()
	}
	return func() {
		for _, conn := range open {
			_ = conn.Close() // as above
		}
	}
}

// TestFault09ControlLessMemoryThanItNeeds shows that the cap is one: in 24 MiB
// the same load ends the server.
func TestFault09ControlLessMemoryThanItNeeds(t *testing.T) {
	group := newMemoryGroup(t, 9, 24)
	p := group.launch(t, "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--log-format", "json")
	within(patience, func() bool { return p.ended() || findLine(p.stderr.String(), "serving") != nil })
	if !p.ended() {
		s := served(t, p)
		options := squeezed(1)
		options.goOn = append(options.goOn, sekali.CodeStorageFailed, sekali.CodeStorageBusy)
		run := startLoad(s, newLedger(), options)
		defer endlessBodies(t, s, 500)()
		require.Eventually(t, p.ended, patience, shortly)
		run.senders.Wait()
	}
	require.Equal(t, -1, p.code, "it was killed")
	prove.Report(t, prove.Result{Row: 9, Control: true, Figures: []prove.Figure{{Name: "memory cap that ends it", Value: 24, Unit: "MiB"}}})
}
