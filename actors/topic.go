package actors

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"sekali"
)

// generations numbers the instances of topic actors over all topics.
var generations atomic.Uint64

// errTopicRestarted answers whoever waited at an instance that failed. Their
// events may or may not be stored; a retry tells.
var errTopicRestarted = &sekali.Error{
	Code: sekali.CodeTopicRestarted, RetryAfter: time.Second,
	Message: "the topic had to be restarted; send the request again with the same ids",
}

// topicDeps is what every topic actor uses of the System.
type topicDeps struct {
	log       *slog.Logger
	admission *admission
	committer *committer
	stats     *actor.PID
	budget    *seenBudget
}

// topicActor is the shell around the core of one topic: it feeds the core with
// messages and carries out its effects.
type topicActor struct {
	topicDeps
	core       *core
	generation uint64
	receiving  *ingestPart // the part being taken in, lest a panic forgets it
}

func newTopicActor(deps topicDeps) actor.Actor {
	return &topicActor{topicDeps: deps, core: newCore(deps.budget), generation: generations.Add(1)}
}

// Receive implements actor.Actor.
func (a *topicActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *ingestPart:
		a.acceptIngest(ctx, msg)
	case *batchCommitted:
		a.finishBatch(ctx, msg)
	case *actor.Restarting:
		a.giveUp(ctx)
	case *actor.Stopping:
		a.core.seen.release()
		a.core = nil // the library's tables keep stopped actors reachable for a while
	case actor.SystemMessage, actor.AutoReceiveMessage: // lifecycle we do not use
	default:
		a.log.Error("topic actor got an unknown message", "message", msg)
	}
}

// acceptIngest hands a part to the core: ids seen and committed are answered
// as duplicates now, ids being committed wait for their fate, the others go
// into the next batch.
//
// Next: [committer.submit], and from there [topicActor.finishBatch].
func (a *topicActor) acceptIngest(ctx actor.Context, p *ingestPart) {
	a.receiving = p
	a.core.offer(p, time.Now())
	a.receiving = nil
	a.submitBatch(ctx)
	a.carryOut(ctx)
}

func (a *topicActor) submitBatch(ctx actor.Context) {
	events, bytes := a.core.takeBatch()
	if events == nil {
		return
	}
	a.committer.submit(&topicBatch{from: ctx.Self(), generation: a.generation, events: events, bytes: bytes})
}

// finishBatch is the only place that remembers ids and says "stored". On an
// error it remembers nothing and answers everyone with it.
//
// Next: [System.Ingest], which waits for the last part of its request.
func (a *topicActor) finishBatch(ctx actor.Context, msg *batchCommitted) {
	if msg.generation != a.generation {
		return // of an instance before a restart; its waiters have been answered
	}
	if msg.err != nil {
		a.core.failBatch(msg.err)
	} else {
		a.core.committed(msg.decisions, time.Now())
	}
	a.submitBatch(ctx) // first: the committer need not wait for the answers
	a.carryOut(ctx)
}

// carryOut counts, then answers: an answer is always counted already.
func (a *topicActor) carryOut(ctx actor.Context) {
	e := a.core.takeEffects()
	a.committer.countDuplicates(e.tallies)
	if e.duplicates > 0 {
		ctx.Send(a.stats, &duplicatesFound{count: e.duplicates, conflicts: e.conflicts})
	}
	for _, p := range e.finished {
		a.admission.release(p)
		p.finish()
	}
	clear(e.finished) // the core uses the memory again
}

// giveUp answers everyone who waits at an instance that is about to be
// replaced.
func (a *topicActor) giveUp(ctx actor.Context) {
	a.core.failAll(errTopicRestarted)
	if p := a.receiving; p != nil {
		p.err = errTopicRestarted
		a.core.finish(p)
	}
	a.carryOut(ctx)
	a.core.seen.release()
}
