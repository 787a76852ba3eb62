package profile

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sekali/client"
	"sekali/internal/progress"
	"sekali/loadtest"
	"sekali/loadtest/generator"
	"sekali/loadtest/result"
)

// Options are what every profile takes.
type Options struct {
	URL    string // of the server; "" starts one
	APIKey string // "" sends none; a server of its own needs none
	// RootCAs are trusted for https instead of the system's; nil stands for those.
	RootCAs *x509.CertPool
	// Executable is the sekali binary: it runs the echo and a server of its own.
	Executable string
	// DataDir is where a server of its own stores, and may hold the events of
	// earlier runs; "" is a temporary directory.
	DataDir string
	Seed    uint64 // decides ids and repeats
	Display progress.Display
}

// session is one run of a profile.
type session struct {
	Options
	server *loadtest.Server // nil when it is somebody else's
	target generator.Target
	client *client.Client
	result *result.Result

	before    client.Stats
	sent      []*sent
	uncertain bool // refusals left open what is stored
}

// sent is what a stream of this session was answered.
type sent struct {
	stream             *generator.Stream
	scripts            []generator.Script // its publishers, which go on where they were
	stored, duplicates int64
	refused            int64
}

// errStopped ends a profile whose result says what was wrong.
var errStopped = errors.New("a problem ended the measurement")

// run starts a session, measures, and verifies what was sent. The error says
// that it could not begin; later everything is in the result.
func run(ctx context.Context, name, title string, o Options, measure func(context.Context, *session) error) (*result.Result, error) {
	s := &session{Options: o, result: &result.Result{Profile: name, Title: title, Started: time.Now().UTC(), Machine: result.ThisMachine()}}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	err := measure(ctx, s)
	if err == nil {
		err = s.verify(ctx)
	}
	if err != nil && !errors.Is(err, errStopped) {
		s.problem("%s", err)
	}
	if err := s.disconnect(); err != nil {
		s.problem("%s", err)
	}
	s.result.Elapsed = time.Since(s.result.Started)
	return s.result, nil
}

func (s *session) connect(ctx context.Context) (err error) {
	if s.URL == "" {
		s.server, err = loadtest.StartServer(ctx, loadtest.ServerOptions{Executable: s.Executable, DataDir: s.DataDir})
		if err != nil {
			return err
		}
		s.URL, s.APIKey = s.server.URL, ""
	}
	if s.target, err = generator.NewTarget(s.URL, s.APIKey); err != nil {
		return err
	}
	s.target = s.target.Trusting(s.RootCAs)
	s.client, err = client.New(s.URL, client.Options{
		APIKey: s.APIKey, RootCAs: s.RootCAs, UserAgent: "sekali-loadtest", MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	if err := s.client.Retry(ctx, s.client.Ready); err != nil {
		return fmt.Errorf("the server at %s is not ready: %w", s.URL, err)
	}
	health, err := s.client.Health(ctx)
	if err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	s.result.Version = health.Version
	if s.before, err = s.client.Stats(ctx); err != nil {
		return fmt.Errorf("read the server's counts: %w", err)
	}
	return nil
}

func (s *session) disconnect() (err error) {
	if s.client != nil {
		s.client.Close()
	}
	if s.server != nil {
		err = s.server.Stop()
	}
	return err
}

// scratch is a directory on the file system of the data, as far as it is known.
func (s *session) scratch() string {
	if s.server == nil {
		return os.TempDir()
	}
	return filepath.Dir(filepath.Clean(s.server.DataDir))
}

// stream returns a new stream, whose events nobody sent before.
func (s *session) stream(l load, repeats generator.Repeats, refusal generator.OnRefusal) *sent {
	run := generator.NewRun(s.Seed, salt(), l.topics)
	run.Gaps = refusal == generator.LeaveOut
	st := generator.NewStream(run, l.batch, l.connections, repeats, s.Seed)
	x := &sent{stream: st, scripts: generator.Publishers(s.target, st, refusal)}
	s.sent = append(s.sent, x)
	return x
}

// salt sets the runs of all times apart.
func salt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // It never fails; see crypto/rand.
	return binary.LittleEndian.Uint64(b[:])
}

// load is the form of a load.
type load struct{ connections, batch, topics int }

func (l load) String() string {
	form := fmt.Sprintf("batches of %d", l.batch)
	if l.batch == 1 {
		form = "single events"
	}
	return fmt.Sprintf("%s, %d connections, %s", form, l.connections, plural(l.topics, "topic"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// note counts what a loop was answered and passes its problems on.
func (s *session) note(x *sent, m *generator.Measurement) error {
	if x != nil {
		x.stored += m.Stored
		x.duplicates += m.Duplicates
		x.refused += m.Refused
	}
	s.result.Problems = append(s.result.Problems, m.Problems...)
	if more := m.ProblemCount - int64(len(m.Problems)); more > 0 {
		s.problem("and %d more", more)
	}
	if m.ProblemCount > 0 {
		return errStopped
	}
	return nil
}

// publish runs the publishers of a stream over connections of its own, closed
// loop, for a time or, when that is 0, as far as the stream allows.
func (s *session) publish(ctx context.Context, phase string, x *sent, d time.Duration) (*generator.Measurement, error) {
	pool, err := generator.Dial(ctx, s.target, x.stream.Publishers())
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	shown := s.Display.Time(phase, d)
	defer shown.Finish()
	m := generator.Closed(ctx, pool, x.scripts,
		generator.Limits{Duration: d, Slice: sliceOf(d), OnEvents: shown.Add})
	return m, s.note(x, m)
}

// sliceOf cuts a time into parts that a chart can show.
func sliceOf(d time.Duration) time.Duration {
	return min(max(d/40, 20*time.Millisecond), time.Second)
}

func (s *session) problem(format string, args ...any) {
	s.result.Problems = append(s.result.Problems, fmt.Sprintf(format, args...))
}

func (s *session) remark(format string, args ...any) {
	s.result.Notes = append(s.result.Notes, fmt.Sprintf(format, args...))
}

func (s *session) option(name string, value any) {
	s.result.Options = append(s.result.Options, result.Option{Name: name, Value: fmt.Sprint(value)})
}

func (s *session) goal(g result.Goal) { s.result.Goals = append(s.result.Goals, g) }

func (s *session) figure(name string, value float64, unit string) {
	s.result.Figures = append(s.result.Figures, result.Figure{Name: name, Value: value, Unit: unit})
}

func (s *session) latency(name string, m *generator.Measurement) {
	s.result.Latencies = append(s.result.Latencies, result.LatencyOf(name, m.Latency))
}
