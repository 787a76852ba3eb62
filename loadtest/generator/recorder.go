package generator

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// board is what the workers of a loop share.
type board struct {
	start      time.Time
	width      time.Duration // of a slice
	lastAnswer atomic.Int64  // since start
	stopped    atomic.Bool
	onEvents   func(int) // may be nil

	mu       sync.Mutex
	slices   []*sharedSlice
	count    int64 // of problems
	problems []string
}

// sharedSlice is what all workers saw in a slice of time.
type sharedSlice struct {
	events, refused int64
	latency         *hdrhistogram.Histogram
}

// fail notes a problem and ends the loop when it cannot go on, or when there
// are so many that more would tell nothing new.
func (b *board) fail(err error, final bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if len(b.problems) < maxListed {
		b.problems = append(b.problems, err.Error())
	}
	if final || b.count >= maxListed {
		b.stopped.Store(true)
	}
}

// recorder is what one worker saw. The slice of the present is its own, and is
// added to the board when it is over.
type recorder struct {
	board *board
	sum   *Measurement

	slice           int
	events, refused int64
	latency         *hdrhistogram.Histogram // coarser than the sum's: there are many slices
}

func newRecorder(b *board) *recorder {
	return &recorder{board: b, sum: newMeasurement(b.width), latency: newSliceHistogram()}
}

func newSliceHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency, 2) }

// answered notes an answer: when the request was wanted and sent, and when the
// answer arrived.
func (r *recorder) answered(wanted, sent, arrived time.Time, j Judgement) {
	r.noteArrival(arrived.Sub(r.board.start))
	r.sum.Requests++
	r.sum.Sending = max(r.sum.Sending, sent.Sub(r.board.start))
	if j.Refused {
		r.sum.Refused++
		r.refused++
		record(r.sum.Refusals, arrived.Sub(sent))
	} else {
		r.sum.Stored += int64(j.Stored)
		r.sum.Duplicates += int64(j.Duplicates)
		r.events += int64(j.Stored + j.Duplicates)
		record(r.sum.Latency, arrived.Sub(wanted))
		record(r.latency, arrived.Sub(wanted))
		if r.board.onEvents != nil {
			r.board.onEvents(j.Stored + j.Duplicates)
		}
	}
	if j.Problem != nil {
		r.board.fail(j.Problem, false)
	}
}

// noteArrival keeps the longest gap between answers on any connection and moves
// on to the slice of the present.
func (r *recorder) noteArrival(at time.Duration) {
	before := time.Duration(r.board.lastAnswer.Swap(int64(at)))
	r.sum.Stall = max(r.sum.Stall, at-before)
	if now := int(at / r.board.width); now != r.slice {
		r.flush()
		r.slice = now
	}
}

// flush adds the worker's slice to the board's.
func (r *recorder) flush() {
	b := r.board
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.slices) <= r.slice {
		b.slices = append(b.slices, &sharedSlice{latency: newSliceHistogram()})
	}
	s := b.slices[r.slice]
	s.events += r.events
	s.refused += r.refused
	s.latency.Merge(r.latency)
	r.events, r.refused = 0, 0
	r.latency.Reset()
}

// total adds up what the workers saw, after all of them have ended.
func (b *board) total(workers []*recorder) *Measurement {
	m := newMeasurement(b.width)
	var sending time.Duration
	for _, r := range workers {
		r.flush()
		m.Add(r.sum)
		sending = max(sending, r.sum.Sending)
	}
	m.Started, m.Elapsed, m.Sending = b.start, time.Duration(b.lastAnswer.Load()), sending
	m.ProblemCount, m.Problems = b.count, b.problems
	m.Slices = make([]Slice, len(b.slices))
	for i, s := range b.slices {
		m.Slices[i] = Slice{
			Events: s.events, Refused: s.refused,
			P50: Percentile(s.latency, 50), P99: Percentile(s.latency, 99),
			Max: time.Duration(s.latency.Max()) * time.Microsecond,
		}
	}
	return m
}
