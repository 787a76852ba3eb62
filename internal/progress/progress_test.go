package progress_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"sekali/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// screen collects what is shown.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestABarShowsThePhaseAndIsWipedAtTheEnd(t *testing.T) {
	for name, begin := range map[string]func(progress.Display) *progress.Phase{
		"by events": func(d progress.Display) *progress.Phase { return d.Events("fill", 1000) },
		"by time":   func(d progress.Display) *progress.Phase { return d.Time("fill", time.Hour) },
		"unknown":   func(d progress.Display) *progress.Phase { return d.Unknown("fill") },
	} {
		t.Run(name, func(t *testing.T) {
			var s screen
			p := begin(progress.Display{Out: &s, Terminal: true})
			p.Add(500)
			require.Eventually(t, func() bool { return strings.Contains(s.shown(), "/s") }, time.Minute, time.Millisecond)
			p.Finish()
			goleak.VerifyNone(t)
			require.Contains(t, s.shown(), "fill")
			last := s.shown()[strings.LastIndexByte(s.shown(), '\r')+1:]
			require.Empty(t, strings.TrimSpace(last))
		})
	}
}

func TestNothingIsShownWhereNobodyLooks(t *testing.T) {
	p := progress.Display{}.Events("fill", 10)
	p.Add(10)
	p.Finish()
	var s screen
	p = progress.Display{Out: &s}.Time("fill", time.Second)
	p.Finish()
	require.Empty(t, s.shown(), "lines are for phases that take long")
}
