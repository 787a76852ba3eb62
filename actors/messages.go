package actors

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"sekali"
)

// ingestPart is what one request brings for one topic. router -> topic. The
// topic actor owns it from then on and finishes it exactly once, after the
// commit that decides its last event.
type ingestPart struct {
	request *ingestRequest
	topic   *topicEntry
	slots   []int32 // which events of the request are its own; nil: all of them
	bytes   int64   // the sizes of its events

	// Only the topic's core uses these.
	undecided int           // events without a fate
	err       *sekali.Error // why an event of it has no result
	finished  bool          // handed out for its answer; never twice
}

// len returns how many events the part has.
func (p *ingestPart) len() int {
	if p.slots == nil {
		return len(p.request.events)
	}
	return len(p.slots)
}

// slot returns where the part's i-th event and its result are in the request.
func (p *ingestPart) slot(i int) int {
	if p.slots == nil {
		return i
	}
	return int(p.slots[i])
}

// name returns the part's topic.
func (p *ingestPart) name() string { return p.request.events[p.slot(0)].Topic }

// ingestRequest is an admitted request. System -> router, which passes on its
// parts. It is also the reply slot that travels with them: events are
// immutable, results belong to the parts, each writing its own slots, until
// done is closed by the last of them; from then on they belong to the caller.
type ingestRequest struct {
	events    []sekali.Event
	bytes     int64 // the sizes of the events
	results   []sekali.Result
	parts     []ingestPart
	whole     [1]ingestPart // the parts of most requests
	openParts atomic.Int32
	failure   atomic.Pointer[sekali.Error] // the first error of a part
	done      chan struct{}

	unreleased int // parts that the admission has not got back; guarded by its lock
}

// finish answers the part: with its results, or with err where it has one.
func (p *ingestPart) finish() {
	if p.err != nil {
		p.request.failure.CompareAndSwap(nil, p.err)
	}
	if p.request.openParts.Add(-1) == 0 {
		close(p.request.done)
	}
}

// topicBatch is one topic's share of the next transaction. topic -> committer.
// Each gets exactly one *batchCommitted, and a topic has one under way at a
// time. The events are immutable.
type topicBatch struct {
	from       *actor.PID
	generation uint64
	events     []*sekali.Event
	bytes      int
}

// batchCommitted says what became of a topicBatch. committer -> topic, after
// the transaction ended. When err is nil the events are on stable storage.
type batchCommitted struct {
	// generation is that of the topicBatch: an actor that was restarted
	// meanwhile does not know the batch any more and drops the message.
	generation uint64
	decisions  []sekali.Decision // one per event
	err        *sekali.Error
}

// sweepIdle asks for the passivation of topics unused since before. ticker ->
// router, and router -> router while there are more. No reply.
type sweepIdle struct{ before time.Time }

// eventsStored tells what a transaction has stored. committer -> stats, before
// the topics of the transaction learn of it, so that whoever has an answer and
// asks for the statistics finds it counted. No reply.
type eventsStored struct {
	count     int64
	newTopics []string
}

// duplicatesFound tells of repeats. topic -> stats, before they are answered,
// for the same reason. No reply.
type duplicatesFound struct{ count, conflicts int64 }

// statsQuery asks for the counts. System -> stats. Replies exactly once on
// reply, which has room for it.
type statsQuery struct{ reply chan<- *sekali.Stats }
