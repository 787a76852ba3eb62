package generator

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
)

// Known are the first Count events of a run, all of them stored.
type Known struct {
	Run   Run
	Count uint64
}

// Repeats say which part of the events repeats earlier ones.
type Repeats struct {
	Share float64 // 0 to 1
	// Of are the events to repeat, each as likely as any other. Nil are those
	// that the stream itself had acknowledged by then.
	Of []Known
}

// Stream hands out the events of a run to its publishers: each number once, in
// order, and repeats in between.
type Stream struct {
	run     Run
	batch   int
	repeats Repeats
	seed    uint64
	known   uint64 // sum of repeats.Of

	next  atomic.Uint64 // the next new number
	quota atomic.Int64  // requests that may still be begun
	slots []slot        // of the publishers
}

// slot holds the lowest number that a publisher may have on its way. It fills a
// cache line, so that publishers do not disturb each other.
type slot struct {
	lowest atomic.Uint64
	_      [56]byte
}

const nothing = math.MaxUint64 // on its way

// NewStream returns a stream of batches for a number of publishers. The seed
// decides which events are repeats.
func NewStream(run Run, batch, publishers int, repeats Repeats, seed uint64) *Stream {
	s := &Stream{run: run, batch: batch, repeats: repeats, seed: seed, slots: make([]slot, publishers)}
	for _, k := range repeats.Of {
		s.known += k.Count
	}
	for i := range s.slots {
		s.slots[i].lowest.Store(nothing)
	}
	s.Unbounded()
	return s
}

// Allow lets the publishers begin so many requests, from now on.
func (s *Stream) Allow(requests int64) { s.quota.Store(requests) }

// Unbounded lets the publishers go on until their loop ends.
func (s *Stream) Unbounded() { s.quota.Store(math.MaxInt64) }

// Sent is how many different events of the run were given to publishers. When
// all of them were acknowledged, they are the run's first.
func (s *Stream) Sent() uint64 { return s.next.Load() }

// Batch is the number of events in each request.
func (s *Stream) Batch() int { return s.batch }

// Publishers is how many publishers the stream is for.
func (s *Stream) Publishers() int { return len(s.slots) }

// Run returns the run that the stream sends.
func (s *Stream) Run() Run { return s.run }

// acknowledged returns a number below which all events were acknowledged.
func (s *Stream) acknowledged() uint64 {
	low := s.next.Load()
	for i := range s.slots {
		low = min(low, s.slots[i].lowest.Load())
	}
	return low
}

// claim gives a publisher new numbers, from the one returned.
func (s *Stream) claim(publisher, n int) uint64 {
	// The slot is set to what the numbers cannot be below before they are taken,
	// so that acknowledged never sees them taken and not on their way.
	s.slots[publisher].lowest.Store(s.next.Load())
	return s.next.Add(uint64(n)) - uint64(n)
}

// settle says that a publisher has nothing on its way.
func (s *Stream) settle(publisher int) { s.slots[publisher].lowest.Store(nothing) }

// reference names an event.
type reference struct {
	run Run
	n   uint64
}

// repeatable is what a publisher may repeat at a moment.
type repeatable struct {
	own   Known
	of    []Known
	count uint64
}

func (s *Stream) repeatable() repeatable {
	if s.repeats.Of != nil {
		return repeatable{of: s.repeats.Of, count: s.known}
	}
	own := Known{Run: s.run, Count: s.acknowledged()}
	return repeatable{own: own, count: own.Count}
}

func (r *repeatable) draw(rng *rand.PCG) reference {
	// The bias of a remainder of 64 bits is of no account here.
	at := rng.Uint64() % r.count
	if r.of == nil {
		return reference{r.own.Run, at}
	}
	for _, k := range r.of {
		if at < k.Count {
			return reference{k.Run, at}
		}
		at -= k.Count
	}
	panic("generator: the counts of the known events do not add up")
}
