package profile

import (
	"context"
	"errors"
	"time"

	"sekali/loadtest/ceiling"
	"sekali/loadtest/generator"
)

// echo is a bare fasthttp server that returns what it is sent: what the
// generator, the HTTP library and the machine can do without Sekali.
type echo struct {
	server *ceiling.Echo
	pool   *generator.Pool
	// scripts send to it what the publishers of a stream send.
	scripts []generator.Script
}

// startEcho starts an echo with connections for a load.
func (s *session) startEcho(ctx context.Context, l load) (*echo, error) {
	server, err := ceiling.StartEcho(ctx, s.Executable)
	if err != nil {
		return nil, err
	}
	e := &echo{server: server}
	if err := e.connect(ctx, s.Seed, l); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return e, nil
}

func (e *echo) connect(ctx context.Context, seed uint64, l load) error {
	target, err := generator.NewTarget(e.server.URL, "")
	if err != nil {
		return err
	}
	if e.pool, err = generator.Dial(ctx, target, l.connections); err != nil {
		return err
	}
	stream := generator.NewStream(generator.NewRun(seed, salt(), l.topics), l.batch, l.connections, generator.Repeats{}, seed)
	for i := range l.connections {
		e.scripts = append(e.scripts, generator.EchoScript{Publisher: generator.NewPublisher(target, stream, i, generator.SendAgain)})
	}
	return nil
}

func (e *echo) stop() error {
	e.pool.Close()
	return e.server.Stop()
}

// echoClosed measures how fast a load goes to an echo, closed loop.
func (s *session) echoClosed(ctx context.Context, l load, d time.Duration) (m *generator.Measurement, err error) {
	e, err := s.startEcho(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	shown := s.Display.Time("echo", d)
	defer shown.Finish()
	m = generator.Closed(ctx, e.pool, e.scripts, generator.Limits{Duration: d, OnEvents: shown.Add})
	return m, s.note(nil, m)
}

// capacityFigures say how much more the generator could send than was taken.
func (s *session) capacityFigures(m, echo *generator.Measurement) {
	s.figure("generator capacity: the same requests to an echo", echo.EventsPerSecond(), "events/s")
	s.figure("generator capacity / server", echo.RequestsPerSecond()/m.RequestsPerSecond(), "")
}

// floorFigure says how slow an echo was beside the same load: no server on
// these cores could have been faster.
func (s *session) floorFigure(beside string, m *generator.Measurement) {
	s.figure("an echo beside "+beside+", p99", ms(m.P99()), "ms")
	s.latency("a bare echo beside "+beside, m)
}
