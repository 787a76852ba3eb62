package actors

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"sekali"
)

// topicEntry is the admission's view of a topic that is in use or was lately.
type topicEntry struct {
	name string
	// pid is the topic's actor, nil until the router has spawned it. Only the
	// router uses it.
	pid *actor.PID

	// Guarded by admission.mu.
	inFlight   int       // events admitted and not answered
	bytes      int64     // their sizes
	lastUsed   time.Time // when inFlight fell to 0
	prev, next *topicEntry
}

// admission decides what enters. All bounds on memory are kept here, before
// anything is queued, so that mailboxes need none. It also knows which topics
// are idle: an actor may be stopped only while its in-flight count is 0 and
// nothing can raise it, because stopping loses what is queued.
type admission struct {
	maxEvents, maxTopicEvents int
	maxBytes, maxTopicBytes   int64

	tooManyEvents, tooManyBytes *sekali.Error
	// full is the error of the last refusal while there is hardly any room: then
	// requests can be refused without being looked at.
	full atomic.Pointer[sekali.Error]

	mu      sync.Mutex
	topics  map[string]*topicEntry
	idle    topicEntry // ring of entries with inFlight 0, least recently used first
	events  int        // in flight
	bytes   int64      // in flight
	closed  bool
	drained chan struct{} // closed when closed and nothing is in flight
}

func newAdmission(o Options) *admission {
	a := &admission{
		maxEvents: o.MaxInFlightEvents, maxTopicEvents: o.MaxTopicInFlightEvents, maxBytes: o.MaxInFlightBytes, maxTopicBytes: o.MaxTopicInFlightBytes,
		tooManyEvents: overloaded("events", int64(o.MaxInFlightEvents)), tooManyBytes: overloaded("bytes", o.MaxInFlightBytes),
		topics: make(map[string]*topicEntry), drained: make(chan struct{}),
	}
	a.idle.prev, a.idle.next = &a.idle, &a.idle
	return a
}

// admit takes all parts of a request or none of them. Each admitted part must
// be given back with release.
func (a *admission) admit(parts []ingestPart) *sekali.Error {
	request := parts[0].request
	events, bytes := len(request.events), request.bytes
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return sekali.ErrShuttingDown
	case a.events+events > a.maxEvents:
		return a.refuse(a.tooManyEvents)
	case a.bytes+bytes > a.maxBytes:
		return a.refuse(a.tooManyBytes)
	}
	for i := range parts {
		p := &parts[i]
		p.topic = a.topics[p.name()]
		if err := a.checkTopic(p); err != nil {
			return err
		}
	}
	for i := range parts {
		a.use(&parts[i])
	}
	request.unreleased = len(parts)
	a.events += events
	a.bytes += bytes
	return nil
}

// checkTopic returns the error to refuse a part with, which is not yet counted.
// The caller holds mu.
func (a *admission) checkTopic(p *ingestPart) *sekali.Error {
	switch t := p.topic; {
	case t == nil:
	case t.inFlight+p.len() > a.maxTopicEvents:
		return topicOverloaded(t.name, "events", int64(a.maxTopicEvents))
	case t.bytes+p.bytes > a.maxTopicBytes:
		return topicOverloaded(t.name, "bytes", a.maxTopicBytes)
	}
	return nil
}

// refuse returns the error and remembers it when there is hardly any room. The
// caller holds mu.
func (a *admission) refuse(err *sekali.Error) *sekali.Error {
	if a.nearlyFull() {
		a.full.Store(err)
	}
	return err
}

// nearlyFull reports whether a sixteenth or less of a limit is free. The caller
// holds mu.
func (a *admission) nearlyFull() bool {
	return a.events >= a.maxEvents-a.maxEvents/16 || a.bytes >= a.maxBytes-a.maxBytes/16
}

func overloaded(unit string, limit int64) *sekali.Error {
	return &sekali.Error{
		Code: sekali.CodeOverloaded, RetryAfter: time.Second,
		Message: fmt.Sprintf("the server has its limit of %d %s in flight; send the request again, with the same ids, after the time in Retry-After", limit, unit),
	}
}

func topicOverloaded(topic, unit string, limit int64) *sekali.Error {
	return &sekali.Error{
		Code: sekali.CodeTopicOverloaded, RetryAfter: time.Second,
		Message: fmt.Sprintf("topic %q has its limit of %d %s in flight; send the request again, with the same ids, after the time in Retry-After", topic, limit, unit),
	}
}

// use raises what a part's topic has in flight. The caller holds mu.
func (a *admission) use(p *ingestPart) {
	if p.topic == nil {
		// The name must not hold the rest of its request in memory.
		p.topic = &topicEntry{name: strings.Clone(p.name())}
		a.topics[p.topic.name] = p.topic
	}
	p.topic.unlink()
	p.topic.inFlight += p.len()
	p.topic.bytes += p.bytes
}

// release gives back an answered part. Its request stays in memory as a whole,
// and is charged for, until the last one.
func (a *admission) release(p *ingestPart) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.request.unreleased--
	if p.request.unreleased == 0 {
		a.events -= len(p.request.events)
		a.bytes -= p.request.bytes
		if a.full.Load() != nil && !a.nearlyFull() {
			a.full.Store(nil)
		}
	}
	p.topic.inFlight -= p.len()
	p.topic.bytes -= p.bytes
	if p.topic.inFlight == 0 {
		p.topic.lastUsed = time.Now()
		p.topic.linkBefore(&a.idle)
	}
	a.checkDrained()
}

// takeIdle removes up to limit entries that were last used before the given
// time; nobody can reach their actors any more, and nothing is queued there.
func (a *admission) takeIdle(before time.Time, limit int) []*topicEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	var taken []*topicEntry
	for e := a.idle.next; e != &a.idle && len(taken) < limit && e.lastUsed.Before(before); e = a.idle.next {
		e.unlink()
		delete(a.topics, e.name)
		taken = append(taken, e)
	}
	return taken
}

// close refuses everything from now on and returns a channel that is closed
// when the last admitted event has been answered.
func (a *admission) close() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		a.checkDrained()
	}
	return a.drained
}

func (a *admission) checkDrained() {
	if a.closed && a.events == 0 {
		select {
		case <-a.drained:
		default:
			close(a.drained)
		}
	}
}

// inUse returns the events in flight and the topics that have an actor.
func (a *admission) inUse() (events, topics int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.events, len(a.topics)
}

func (e *topicEntry) unlink() {
	if e.next != nil {
		e.prev.next, e.next.prev = e.next, e.prev
		e.prev, e.next = nil, nil
	}
}

func (e *topicEntry) linkBefore(at *topicEntry) {
	e.prev, e.next = at.prev, at
	e.prev.next, e.next.prev = e, e
}
