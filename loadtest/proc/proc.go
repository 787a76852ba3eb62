// Package proc samples what a process uses, as Linux's /proc tells it: resident
// memory, CPU time and open files. It also measures what a directory takes on
// the disk.
//
// A Sampler runs one goroutine from Start to Stop and may be stopped from any
// one goroutine.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Sample is what a process used at one moment.
type Sample struct {
	At    time.Duration // since Start
	RSS   int64         // resident memory, bytes
	CPU   time.Duration // user and system time since the process began
	Files int           // open files, sockets included
}

// Samples are the samples of one span of time, in order.
type Samples struct {
	List []Sample
	// PeakRSS is the highest resident memory since the process began, in bytes;
	// the kernel keeps it, so that it misses nothing between two samples.
	PeakRSS int64
	// Err is why sampling ended before Stop, such as the end of the process.
	// Figures of samples with an error say nothing about the whole span.
	Err error
}

// MaxRSS is the highest resident memory among the samples, in bytes.
func (s Samples) MaxRSS() int64 {
	var most int64
	for i := range s.List {
		most = max(most, s.List[i].RSS)
	}
	return most
}

// CPUTime is the CPU time used between the first and the last sample.
func (s Samples) CPUTime() time.Duration {
	if len(s.List) == 0 {
		return 0
	}
	return s.List[len(s.List)-1].CPU - s.List[0].CPU
}

// CPUPercent is the mean use of CPU over the span; 100 is one core.
func (s Samples) CPUPercent() float64 {
	if len(s.List) < 2 {
		return 0
	}
	span := s.List[len(s.List)-1].At - s.List[0].At
	return 100 * s.CPUTime().Seconds() / span.Seconds()
}

// Sampler samples one process.
type Sampler struct {
	pid   int
	start time.Time
	stop  chan struct{}
	ended sync.WaitGroup

	samples Samples // of the goroutine until it has ended
}

// Start takes a sample at once and then one each time that every has passed,
// until Stop.
func Start(pid int, every time.Duration) *Sampler {
	s := &Sampler{pid: pid, start: time.Now(), stop: make(chan struct{})}
	if s.take() {
		s.ended.Go(func() { s.loop(every) })
	}
	return s
}

// Stop takes a last sample and returns all. It is called once.
func (s *Sampler) Stop() Samples {
	close(s.stop)
	s.ended.Wait()
	if s.samples.Err == nil {
		s.take()
	}
	return s.samples
}

func (s *Sampler) loop(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if !s.take() {
				return
			}
		}
	}
}

// take adds a sample and reports whether there was one.
func (s *Sampler) take() bool {
	sample, peak, err := read(s.pid)
	if err != nil {
		s.samples.Err = fmt.Errorf("sample process %d: %w", s.pid, err)
		return false
	}
	sample.At = time.Since(s.start)
	s.samples.List = append(s.samples.List, sample)
	s.samples.PeakRSS = peak
	return true
}

func read(pid int) (s Sample, peak int64, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return s, 0, err
	}
	if s.CPU, err = cpuTime(stat); err != nil {
		return s, 0, err
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return s, 0, err
	}
	if s.RSS, err = statusBytes(status, "VmRSS"); err != nil {
		return s, 0, err
	}
	if peak, err = statusBytes(status, "VmHWM"); err != nil {
		return s, 0, err
	}
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	s.Files = len(files)
	return s, peak, err
}

// ticksPerSecond is the unit of /proc/PID/stat: USER_HZ, 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// cpuTime adds the user and the system time in the text of /proc/PID/stat. The
// command in parentheses may itself hold spaces and parentheses.
func cpuTime(stat []byte) (time.Duration, error) {
	_, rest, found := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(" "))
	fields := bytes.Fields(rest)
	const user, system = 11, 12 // fields 14 and 15 of proc(5), the first after the command being 3
	if !found || len(fields) <= system {
		return 0, fmt.Errorf("unknown form of stat: %q", stat)
	}
	var ticks int64
	for _, field := range fields[user : system+1] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time in stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), nil
}

// statusBytes returns a size in the text of /proc/PID/status. A process that
// has ended and was not waited for has none.
func statusBytes(status []byte, name string) (int64, error) {
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if string(key) != name {
			continue
		}
		kib, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s in status: %w", name, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("no %s in status: the process has ended", name)
}
