package profile

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"sekali/loadtest/ceiling"
	"sekali/loadtest/proc"
	"sekali/loadtest/result"
)

// rawAppend measures the ceiling: how many rows a second SQLite appends with
// nothing to check.
func (s *session) rawAppend(ctx context.Context, rows int) (float64, error) {
	shown := s.Display.Unknown("raw append")
	defer shown.Finish()
	perSecond, err := ceiling.RawAppend(ctx, s.scratch(), rows)
	if err != nil {
		return 0, fmt.Errorf("measure the raw append ceiling: %w", err)
	}
	return perSecond, nil
}

// ceilings is the raw append before and after a measurement.
type ceilings struct{ before, after float64 }

func (c ceilings) mean() float64 { return (c.before + c.after) / 2 }

func (c ceilings) String() string {
	return fmt.Sprintf("raw SQLite append: %s rows/s before, %s after",
		result.FormatNumber(c.before), result.FormatNumber(c.after))
}

// usage watches what the server and the generator use.
type usage struct{ server, self *proc.Sampler }

const sampleInterval = 100 * time.Millisecond

// watch starts watching. Of a server that is not our own child nothing is
// known.
func (s *session) watch() *usage {
	u := &usage{self: proc.Start(os.Getpid(), sampleInterval)}
	if s.server != nil {
		u.server = proc.Start(s.server.PID(), sampleInterval)
	}
	return u
}

// used is what the two used between watch and stop.
type used struct {
	server, self proc.Samples
	known        bool // server is
}

func (u *usage) stop() used {
	x := used{self: u.self.Stop()}
	if u.server != nil {
		x.server = u.server.Stop()
		x.known = x.server.Err == nil
	}
	return x
}

const bytesPerMB = 1 << 20

// rssMB is not a number when it is not known.
func (u used) rssMB() float64 {
	if !u.known {
		return math.NaN()
	}
	return float64(u.server.MaxRSS()) / bytesPerMB
}

// usageFigures adds what was used to the result.
func (s *session) usageFigures(u used) {
	if u.known {
		s.figure("server memory, most", u.rssMB(), "MB")
		s.figure("server CPU", u.server.CPUPercent()/100, "cores")
	} else {
		s.remark("The server is not a child of this command: its memory and CPU are not known.")
	}
	s.figure("generator CPU", u.self.CPUPercent()/100, "cores")
}

// diskFigure adds the bytes on disk per stored event.
func (s *session) diskFigure(ctx context.Context) error {
	if s.server == nil {
		return nil
	}
	stats, err := s.client.Stats(ctx)
	if err != nil {
		return fmt.Errorf("read the server's counts: %w", err)
	}
	perEvent, err := s.diskPerEvent(stats.UniqueProcessed)
	if err == nil {
		s.figure("disk per event", perEvent, "bytes")
	}
	return err
}

func (s *session) diskPerEvent(events int64) (float64, error) {
	total, err := proc.DirBytes(s.server.DataDir)
	return float64(total) / float64(max(events, 1)), err
}
