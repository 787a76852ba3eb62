package profile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sekali/client"
	"sekali/loadtest"
	"sekali/loadtest/proc"
	"sekali/loadtest/result"
)

// RestartOptions are the settings of Restart. It starts servers of its own and
// draws its ids at random, so URL and Seed are not used. A data directory may
// hold events and is kept.
type RestartOptions struct {
	Options
	Events      int           // stored before the first restart
	Rounds      int           // of one clean stop and one kill -9 each
	Load        time.Duration // how long events are sent before each end
	Connections int           // that send them
	// Sample is how many of the events that were acknowledged last are sent
	// again after each start, and as many from anywhere.
	Sample       int
	StartTimeout time.Duration // of one start
}

// restarter runs the profile: one server after the other on one directory.
type restarter struct {
	o       RestartOptions
	began   time.Time
	version string

	server *loadtest.Server // nil while none runs
	client *client.Client
	events *restartEvents

	stored   int64 // events that the running server must have, and
	unknown  int64 // as many more that it may have
	starts   []restartStart
	problems restartProblems
}

// restartStart is what one start found and how long it took.
type restartStart struct {
	killed   bool          // what ended the process before it
	stopping time.Duration // how long that took, when it was a clean stop
	database int64         // bytes, as the other two
	wal      int64
	index    int64
	serving  time.Duration // until the log says that it serves
	ready    time.Duration // until it is ready and has stored an event
	events   int64         // stored by then
}

// Restart measures how long a server takes to be ready again, after a clean
// stop and after a kill -9 under load, and checks after each start that nothing
// that was acknowledged is lost, stored twice or known by another seq.
func Restart(ctx context.Context, o RestartOptions) (_ *result.Result, err error) {
	r := &restarter{o: o, began: time.Now(), events: newRestartEvents()}
	if r.o.DataDir == "" {
		if r.o.DataDir, err = os.MkdirTemp("", "sekali-restart-"); err != nil {
			return nil, fmt.Errorf("make a data directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(r.o.DataDir)) }()
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	for range r.o.Rounds {
		for _, killed := range []bool{false, true} {
			if err := r.round(ctx, killed); err != nil {
				return nil, err
			}
		}
	}
	return r.result(), nil
}

// prepare starts the first server and fills it.
func (r *restarter) prepare(ctx context.Context) error {
	if _, err := r.start(ctx); err != nil {
		return err
	}
	health, err := r.client.Health(ctx)
	if err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	r.version = health.Version
	if err := r.count(ctx); err != nil {
		return err
	}
	if missing := int64(r.o.Events) - r.stored; missing > 0 {
		if err := fillForRestart(ctx, r.server.URL, missing, r.o); err != nil {
			return fmt.Errorf("fill the data directory: %w", err)
		}
	}
	return r.count(ctx)
}

// round loads the server, ends it, starts the next one and checks that.
func (r *restarter) round(ctx context.Context, killed bool) error {
	name := map[bool]string{false: "load before a clean stop", true: "load before a kill -9"}[killed]
	load, err := r.load(ctx, name)
	if err != nil {
		return err
	}
	s := restartStart{killed: killed}
	if s.stopping, err = r.end(load, killed); err != nil {
		return err
	}
	if err := s.measureFiles(r.o.DataDir); err != nil {
		return err
	}
	started, err := r.start(ctx)
	if err != nil {
		return err
	}
	s.serving, s.ready = started.serving, started.ready
	r.stored += load.stored + 1 // the start stored one
	r.unknown = load.unknown()
	if err := r.checkStart(ctx, load); err != nil {
		return err
	}
	s.events = r.stored
	r.starts = append(r.starts, s)
	return nil
}

// end ends the server while events are being sent, or after they were.
func (r *restarter) end(load *restartLoad, killed bool) (time.Duration, error) {
	if killed {
		load.expectFailure()
		err := r.server.Kill()
		load.stop()
		r.client.Close()
		r.server = nil
		return 0, err
	}
	load.stop()
	begin := time.Now()
	err := r.stop()
	return time.Since(begin), err
}

// stop ends the running server, if there is one.
func (r *restarter) stop() error {
	if r.server == nil {
		return nil
	}
	r.client.Close()
	server := r.server
	r.server = nil
	return server.Stop()
}

// start starts a server and waits until it is ready and has stored an event.
func (r *restarter) start(ctx context.Context) (s restartStart, err error) {
	begin := time.Now()
	r.server, err = loadtest.StartServer(ctx, loadtest.ServerOptions{Executable: r.o.Executable, DataDir: r.o.DataDir, StartTimeout: r.o.StartTimeout})
	if err != nil {
		return s, err
	}
	s.serving = time.Since(begin)
	if r.client, err = client.New(r.server.URL, client.Options{MaxIdleConns: r.o.Connections}); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.StartTimeout)
	defer cancel()
	if err := r.awaitReady(ctx); err != nil {
		return s, fmt.Errorf("wait until the server is ready: %w", err)
	}
	results, err := r.client.Publish(ctx, r.events.batch(r.events.take(1), 1))
	if err != nil {
		return s, fmt.Errorf("publish the first event after the start: %w", err)
	}
	s.ready = time.Since(begin)
	if err := requireStored(results[0]); err != nil {
		r.problems.addf("the first event after a start: %v", err)
	}
	return s, nil
}

// readyPoll is how often a server that is not ready is asked again.
const readyPoll = 2 * time.Millisecond

func (r *restarter) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := r.client.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// measureFiles measures what the next start finds.
func (s *restartStart) measureFiles(dir string) error {
	for pattern, size := range map[string]*int64{"*.db": &s.database, "*-wal": &s.wal, "index": &s.index} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			bytes, err := proc.DirBytes(name)
			if err != nil {
				return err
			}
			*size += bytes
		}
	}
	return nil
}
