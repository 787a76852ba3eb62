package actors

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// sweepLimit is how many actors one sweep message stops, so that a large sweep
// does not hold up routing.
const sweepLimit = 1000

// routerActor shards by topic: it spawns the actor of a topic when it is
// needed, passes parts on, and stops the actors of idle topics. It does nothing
// else, because a fault here would touch every topic.
type routerActor struct {
	log       *slog.Logger
	admission *admission
	topics    *actor.Props
	maxActive int
	names     actorNames
}

func newRouterActor(log *slog.Logger, a *admission, topics *actor.Props, maxActive int) actor.Actor {
	return &routerActor{log: log, admission: a, topics: topics, maxActive: maxActive}
}

// actorNames gives topic actors names that are never used twice: a message for
// a stopped one must not reach another.
//
// The library keeps names in 32,768 maps, by their hash, and a map keeps its
// memory when it is empty again: names drawn evenly would hold 9 MB for ever as
// soon as there were enough of them. So only those numbers are used whose names
// fall into a sixteenth of the maps.
type actorNames struct {
	used    uint64
	buckets map[any]bool // the first map of each bucket that is used
}

const usedBuckets = 64 // of 1,024

// next returns a name for a child of parent.
func (n *actorNames) next(registry *actor.ProcessRegistryValue, parent *actor.PID) string {
	if n.buckets == nil {
		n.buckets = make(map[any]bool, usedBuckets)
		for _, bucket := range registry.LocalPIDs.LocalPIDs[:usedBuckets] {
			n.buckets[bucket[0]] = true
		}
	}
	for {
		n.used++
		name := "topic-" + strconv.FormatUint(n.used, 10)
		if n.buckets[registry.LocalPIDs.GetBucket(parent.Id + "/" + name)[0]] {
			return name
		}
	}
}

// Receive implements actor.Actor.
func (r *routerActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *ingestRequest:
		r.routeIngest(ctx, msg)
	case *sweepIdle:
		r.passivate(ctx, msg)
	case actor.SystemMessage, actor.AutoReceiveMessage: // lifecycle we do not use
	default:
		r.log.Error("router got an unknown message", "message", msg)
	}
}

// routeIngest passes each part of a request to its topic's actor.
//
// Next: [topicActor.acceptIngest].
func (r *routerActor) routeIngest(ctx actor.Context, request *ingestRequest) {
	for i := range request.parts {
		p := &request.parts[i]
		if p.topic.pid == nil && !r.spawn(ctx, p.topic) {
			r.admission.release(p)
			p.err = errTopicRestarted
			p.finish()
			continue
		}
		ctx.Send(p.topic.pid, p)
	}
	r.stopSurplus(ctx)
}

func (r *routerActor) spawn(ctx actor.Context, e *topicEntry) bool {
	pid, err := ctx.SpawnNamed(r.topics, r.names.next(ctx.ActorSystem().ProcessRegistry, ctx.Self()))
	if err != nil {
		r.log.Error("cannot spawn a topic actor", "error", err)
		return false
	}
	e.pid = pid
	return true
}

// stopSurplus keeps to the limit of actors; those with events in flight stay.
func (r *routerActor) stopSurplus(ctx actor.Context) {
	if _, active := r.admission.inUse(); active > r.maxActive {
		r.stopIdle(ctx, time.Now(), active-r.maxActive)
	}
}

// passivate stops the actors of topics that have been idle for long, and those
// beyond the limit that were in flight when it was passed.
func (r *routerActor) passivate(ctx actor.Context, msg *sweepIdle) {
	r.stopSurplus(ctx)
	if r.stopIdle(ctx, msg.before, sweepLimit) == sweepLimit {
		ctx.Send(ctx.Self(), msg)
	}
}

// stopIdle stops the actors of up to limit topics, least recently used first,
// and returns how many. The admission has already forgotten them, so nothing
// is queued there and nothing can be.
func (r *routerActor) stopIdle(ctx actor.Context, before time.Time, limit int) int {
	idle := r.admission.takeIdle(before, limit)
	for _, e := range idle {
		if e.pid != nil {
			ctx.Stop(e.pid)
		}
	}
	return len(idle)
}
