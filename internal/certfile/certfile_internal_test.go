package certfile

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/testcert"
)

// pems is a certificate and its key as files hold them.
type pems struct{ cert, key []byte }

func newPEMs(t testing.TB, name string, end time.Time) pems {
	t.Helper()
	c := testcert.New(t, end, name)
	return pems{c.PEM, c.KeyPEM}
}

// logText collects a log.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how many lines hold the text.
func (l *logText) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// rig is a pair in a directory of its own.
type rig struct {
	t         testing.TB
	cert, key string
	log       *logText
	pair      *Pair
}

func open(t testing.TB, content pems) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), log: &logText{}}
	r.write(content)
	var err error
	r.pair, err = Open(r.cert, r.key, slog.New(slog.NewTextHandler(r.log, nil)))
	require.NoError(t, err)
	return r
}

func (r *rig) write(content pems) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.cert, content.cert, 0o644))
	require.NoError(r.t, os.WriteFile(r.key, content.key, 0o600))
}

// requireInUse checks whose certificate is shown.
func (r *rig) requireInUse(name string) {
	r.t.Helper()
	shown, err := r.pair.GetCertificate(nil)
	require.NoError(r.t, err)
	require.Equal(r.t, []string{name}, shown.Leaf.DNSNames)
}

func farEnd() time.Time { return time.Now().AddDate(1, 0, 0) }

const unusable = "the new certificate cannot be used"

func TestAPairThatIsReplacedIsTakenOver(t *testing.T) {
	r := open(t, newPEMs(t, "a.test", farEnd()))
	r.requireInUse("a.test")
	end := farEnd().AddDate(1, 0, 0).Truncate(time.Second).UTC()
	r.write(newPEMs(t, "b.test", end))
	r.pair.look()
	r.requireInUse("b.test")
	require.Equal(t, end, r.pair.NotAfter())
}

func TestAPairBehindASymbolicLinkIsTakenOver(t *testing.T) {
	r := open(t, newPEMs(t, "a.test", farEnd())) // as Kubernetes and certbot swap them
	other := open(t, newPEMs(t, "b.test", farEnd()))
	for from, to := range map[string]string{r.cert: other.cert, r.key: other.key} {
		require.NoError(t, os.Symlink(to, from+".new"))
		require.NoError(t, os.Rename(from+".new", from))
	}
	r.pair.look()
	r.requireInUse("b.test")
}

func TestABrokenPairKeepsTheOneBeforeAndIsSaidOnce(t *testing.T) {
	first := newPEMs(t, "a.test", farEnd())
	other := newPEMs(t, "b.test", farEnd())
	for name, spoil := range map[string]func(r *rig){
		"the key of another certificate": func(r *rig) { r.write(pems{first.cert, other.key}) },
		"a certificate cut off":          func(r *rig) { r.write(pems{other.cert[:100], other.key}) },
		"an empty key":                   func(r *rig) { r.write(pems{other.cert, nil}) },
		"no certificate":                 func(r *rig) { require.NoError(r.t, os.Remove(r.cert)) },
		"a key that is a directory": func(r *rig) {
			require.NoError(r.t, os.Remove(r.key))
			require.NoError(r.t, os.Mkdir(r.key, 0o700))
		},
		"a file without an end": func(r *rig) { require.NoError(r.t, os.Truncate(r.key, maxFileBytes+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, first)
			r.t = t
			spoil(r)
			r.pair.look()
			require.Zero(t, r.log.count(unusable), "it may be half replaced")
			for range 3 {
				r.pair.look()
				require.Equal(t, 1, r.log.count(unusable))
				r.requireInUse("a.test")
			}
			if info, err := os.Stat(r.key); err == nil && info.IsDir() {
				require.NoError(t, os.Remove(r.key))
			}
			r.write(other)
			r.pair.look()
			r.requireInUse("b.test")
		})
	}
}

func TestAPairThatIsHalfReplacedForAMomentIsNotSaid(t *testing.T) {
	r := open(t, newPEMs(t, "a.test", farEnd()))
	other := newPEMs(t, "b.test", farEnd())
	require.NoError(t, os.WriteFile(r.cert, other.cert, 0o600))
	r.pair.look()
	require.NoError(t, os.WriteFile(r.key, other.key, 0o600))
	r.pair.look()
	r.requireInUse("b.test")
	require.Zero(t, r.log.count(unusable))
}

func TestOpenRefusesWhatCannotBeUsed(t *testing.T) {
	r := open(t, newPEMs(t, "a.test", farEnd()))
	other := newPEMs(t, "b.test", farEnd())
	log := slog.New(slog.DiscardHandler)
	_, err := Open(r.cert+".none", r.key, log)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "cert.pem.none")
	require.NoError(t, os.WriteFile(r.key, other.key, 0o600))
	_, err = Open(r.cert, r.key, log)
	require.ErrorContains(t, err, "cannot be used together")
	require.NotContains(t, err.Error(), "PRIVATE KEY")
}

func TestAKeyThatOthersMayReadIsWarnedOf(t *testing.T) {
	const warning = "every user of this machine"
	r := open(t, newPEMs(t, "a.test", farEnd()))
	require.Zero(t, r.log.count(warning))
	require.NoError(t, os.Chmod(r.key, 0o640))
	r.pair.warnOfAccess()
	require.Zero(t, r.log.count(warning), "a group may be meant")
	require.NoError(t, os.Chmod(r.key, 0o644))
	r.pair.warnOfAccess()
	require.Equal(t, 1, r.log.count(warning))
}

func TestTheEndOfACertificateIsWarnedOfOnceADay(t *testing.T) {
	end := farEnd()
	r := open(t, newPEMs(t, "a.test", end))
	for at, want := range map[time.Duration][2]int{ // after the first: lines of "soon", of "has ended"
		-soon - time.Hour: {0, 0}, -soon + time.Hour: {1, 0}, time.Hour: {0, 1},
	} {
		r.log.text.Reset()
		r.pair.warned = time.Time{}
		for hours := range 24 {
			r.pair.warnOfEnd(end.Add(at).Add(time.Duration(hours) * time.Minute))
		}
		require.Equal(t, want, [2]int{r.log.count("ends soon"), r.log.count("has ended")}, "%s from the end", at)
		r.pair.warnOfEnd(end.Add(at).Add(warnEvery + time.Hour))
		if at == -soon+time.Hour {
			require.Equal(t, 2, r.log.count("ends soon"), "the next day")
		}
	}
}

// TestWatchLooksByItselfAndWhenAsked runs on a clock of its own.
func TestWatchLooksByItselfAndWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, newPEMs(t, "a.test", farEnd()))
		ctx, cancel := context.WithCancel(t.Context())
		again := make(chan os.Signal)
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.pair.Watch(ctx, again)
		}()
		second, third := newPEMs(t, "b.test", farEnd()), newPEMs(t, "c.test", farEnd())
		r.write(second)
		time.Sleep(lookEvery + time.Millisecond) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		r.requireInUse("b.test")

		r.write(third)
		again <- syscall.SIGHUP
		synctest.Wait()
		r.requireInUse("c.test")

		r.write(pems{second.cert, third.key})
		again <- syscall.SIGHUP
		synctest.Wait()
		require.Equal(t, 1, r.log.count(unusable), "who asks is told at once")
		r.requireInUse("c.test")
		cancel()
		<-done
	})
}
