package measure

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Usage is what processes took from the machine.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	// PeakBytes is the most memory that was seen, sampled twice a second. It
	// is the proportional set size: pages that processes share, such as
	// PostgreSQL's buffers, are counted once.
	PeakBytes int64 `json:"peak_memory_bytes"`
}

// process is a line of /proc/PID/stat.
type process struct {
	pid, parent int
	state       string
	cpu         float64 // seconds of itself and of children that have ended
}

// clockTick is the unit of CPU time in /proc; Linux shows every architecture
// the same.
const clockTick = 0.01

// Tree returns a process and all that descend from it, itself first.
func Tree(root int) ([]int, error) {
	tree, err := readTree(root)
	pids := make([]int, len(tree))
	for i := range tree {
		pids[i] = tree[i].pid
	}
	return pids, err
}

// Alive says whether a process is running; one that has ended but was not
// waited for is not.
func Alive(pid int) bool {
	p, err := readProcess(pid)
	return err == nil && p.state != "Z" && p.state != "X"
}

func readTree(root int) ([]process, error) {
	first, err := readProcess(root)
	if err != nil {
		return nil, err
	}
	children, err := childrenByParent()
	if err != nil {
		return nil, err
	}
	tree := []process{first}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree, nil
}

func childrenByParent() (map[int][]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil { // It may have ended since.
			children[p.parent] = append(children[p.parent], p)
		}
	}
	return children, nil
}

func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name in brackets may hold anything, so the fields are counted from
	// behind it: state, parent, and from the twelfth on the CPU times.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return process{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	p := process{pid: pid, state: fields[0]}
	p.parent, err = strconv.Atoi(fields[1])
	for _, ticks := range fields[11:15] {
		n, convErr := strconv.ParseInt(ticks, 10, 64)
		err = errors.Join(err, convErr)
		p.cpu += float64(n) * clockTick
	}
	return p, err
}

// readUsage adds up what a tree of processes has used since its start.
func readUsage(root int) (Usage, error) {
	tree, err := readTree(root)
	if err != nil {
		return Usage{}, err
	}
	var sum Usage
	for _, p := range tree {
		sum.CPUSeconds += p.cpu
		n, err := proportionalSize(p.pid)
		if err != nil && !errors.Is(err, os.ErrNotExist) && p.pid == root {
			return Usage{}, err
		}
		sum.PeakBytes += n
	}
	return sum, nil
}

func proportionalSize(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.Join(fmt.Errorf("/proc/%d/smaps_rollup has no Pss", pid), lines.Err())
}

// Watch samples a tree of processes until it is stopped.
type Watch struct {
	root  int
	first Usage
	stop  chan struct{}
	done  sync.WaitGroup
	peak  int64 // owned by sample until done
}

const samplePeriod = 500 * time.Millisecond

// NewWatch starts to watch a process and its descendants.
func NewWatch(root int) (*Watch, error) {
	first, err := readUsage(root)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", root, err)
	}
	w := &Watch{root: root, first: first, stop: make(chan struct{}), peak: first.PeakBytes}
	w.done.Go(w.sample)
	return w, nil
}

func (w *Watch) sample() {
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
			if u, err := readUsage(w.root); err == nil { // Stop reports a process that has ended.
				w.peak = max(w.peak, u.PeakBytes)
			}
		}
	}
}

// Stop returns the CPU time since NewWatch, and the most memory. It is an error
// when the process is no longer there.
func (w *Watch) Stop() (Usage, error) {
	close(w.stop)
	w.done.Wait()
	last, err := readUsage(w.root)
	if err != nil {
		return Usage{}, fmt.Errorf("watch process %d: %w", w.root, err)
	}
	return Usage{
		CPUSeconds: last.CPUSeconds - w.first.CPUSeconds,
		PeakBytes:  max(w.peak, last.PeakBytes),
	}, nil
}
