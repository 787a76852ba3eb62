package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"sekali"
)

// Options of a System. Zero values mean the documented defaults.
type Options struct {
	// MaxInFlightEvents bounds the events admitted and not yet answered
	// (default 30,000, some tenths of a second of a busy node); beyond it
	// CodeOverloaded.
	MaxInFlightEvents int
	// MaxInFlightBytes bounds their memory (default 256 MiB); beyond it
	// CodeOverloaded.
	MaxInFlightBytes int64
	// MaxTopicInFlightEvents bounds the events of one topic in flight (default
	// 20,000); beyond it CodeTopicOverloaded.
	MaxTopicInFlightEvents int
	// MaxTopicInFlightBytes bounds their memory (default 160 MiB); beyond it
	// CodeTopicOverloaded.
	MaxTopicInFlightBytes int64
	// TopicIdleTimeout is the time after which an unused topic's actor is
	// stopped and its memory freed (default 1 minute).
	TopicIdleTimeout time.Duration
	// MaxActiveTopics bounds the actors of topics that have nothing in flight
	// (default 10,000, about 2 kB each and their share of the seen cache): the
	// least recently used ones are stopped first.
	MaxActiveTopics int
	// SeenCacheEntries bounds the ids remembered by all topics together
	// (default 131,072, about 20 MB). It only spares look-ups in the store.
	SeenCacheEntries int64
	// Logger for everything in here, the actor library's words included.
	// Default: discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.MaxInFlightEvents = cmp.Or(o.MaxInFlightEvents, 30_000)
	o.MaxInFlightBytes = cmp.Or(o.MaxInFlightBytes, 256<<20)
	o.MaxTopicInFlightEvents = cmp.Or(o.MaxTopicInFlightEvents, 20_000)
	o.MaxTopicInFlightBytes = cmp.Or(o.MaxTopicInFlightBytes, 160<<20)
	o.TopicIdleTimeout = cmp.Or(o.TopicIdleTimeout, time.Minute)
	o.MaxActiveTopics = cmp.Or(o.MaxActiveTopics, 10_000)
	o.SeenCacheEntries = cmp.Or(o.SeenCacheEntries, 131_072)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// System is the running engine on one store.
type System struct {
	store     sekali.Store
	log       *slog.Logger
	admission *admission
	committer *committer

	actors        *actor.ActorSystem
	router, stats *actor.PID
	deadLetters   atomic.Int64
	abandoned     chan struct{} // closed when a drain ran out of time

	stopSweeper func()
	closing     atomic.Bool
	abandonOnce sync.Once
}

// New starts the engine; the counts begin with what the store holds.
func New(ctx context.Context, store sekali.Store, o Options) (*System, error) {
	o = o.withDefaults()
	totals, err := store.Totals(ctx)
	if err != nil {
		return nil, fmt.Errorf("restore the counts: %w", err)
	}
	topics, err := store.Topics(ctx, sekali.TopicsQuery{Limit: sekali.MaxListedTopics})
	if err != nil {
		return nil, fmt.Errorf("restore the topics: %w", err)
	}
	s := &System{store: store, log: o.Logger, admission: newAdmission(o), abandoned: make(chan struct{})}
	s.actors = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(quietHandler{o.Logger.With("library", "protoactor").Handler()})
	}))
	s.actors.EventStream.Subscribe(s.onActorEvent)
	if err := s.spawnActors(o, initialStats(totals, topics)); err != nil {
		return nil, err
	}
	go s.committer.run()
	s.stopSweeper = s.startSweeper(o.TopicIdleTimeout)
	return s, nil
}

// spawnActors starts the router and the stats actor. Both keep their state
// when they fail (Resume): restarting the router would lose what its topics
// have queued. A topic that fails is restarted, as often as need be, with a
// fresh core: the default strategy would stop it in silence at the eleventh
// failure in ten seconds.
func (s *System) spawnActors(o Options, initial sekali.Stats) (err error) {
	resume := actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.ResumeDirective })
	s.stats, err = s.actors.Root.SpawnNamed(actor.PropsFromProducer(
		func() actor.Actor { return newStatsActor(s.log, initial) },
		actor.WithMailbox(actor.UnboundedLockfree()), actor.WithGuardian(resume)), "stats")
	if err != nil {
		return fmt.Errorf("spawn the stats actor: %w", err)
	}
	s.committer = newCommitter(s.store, s.log, s.stats, s.actors.Root.Send)
	deps := topicDeps{
		log: s.log, admission: s.admission, committer: s.committer, stats: s.stats,
		budget: &seenBudget{limit: o.SeenCacheEntries},
	}
	topics := actor.PropsFromProducer(func() actor.Actor { return newTopicActor(deps) }, actor.WithMailbox(actor.UnboundedLockfree()))
	s.router, err = s.actors.Root.SpawnNamed(actor.PropsFromProducer(
		func() actor.Actor { return newRouterActor(s.log, s.admission, topics, o.MaxActiveTopics) },
		actor.WithMailbox(actor.UnboundedLockfree()), actor.WithGuardian(resume),
		actor.WithSupervisor(actor.NewRestartingStrategy())), "router")
	if err != nil {
		return fmt.Errorf("spawn the router: %w", err)
	}
	return nil
}

// onActorEvent watches for what must not happen: failures and lost messages.
func (s *System) onActorEvent(event any) {
	switch e := event.(type) {
	case *actor.SupervisorEvent:
		s.log.Error("actor failed", "actor", e.Child.GetId(), "reason", e.Reason, "directive", e.Directive.String())
	case *actor.DeadLetterEvent:
		if _, user := e.Message.(*ingestPart); user {
			s.log.Error("BUG: events sent to a stopped topic", "actor", e.PID.GetId())
		}
		s.deadLetters.Add(1)
	}
}

// startSweeper looks for idle topics four times per idle time. When the last
// one is gone it gives the memory of the busy time back to the operating
// system, which the runtime by itself does only over many minutes.
func (s *System) startSweeper(idle time.Duration) (stop func()) {
	ticker := time.NewTicker(max(idle/4, time.Millisecond))
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		busy := false
		for {
			select {
			case now := <-ticker.C:
				_, topics := s.admission.inUse()
				if busy && topics == 0 {
					debug.FreeOSMemory()
				}
				busy = topics > 0
				s.actors.Root.Send(s.router, &sweepIdle{before: now.Add(-idle)})
			case <-quit:
				return
			}
		}
	})
	return func() {
		ticker.Stop()
		close(quit)
		done.Wait()
	}
}

// Ingest takes the events of one request, at least one, and returns their
// results in order after every one of them is decided on stable storage. It
// owns events from then on. An error (always a *sekali.Error) means that each
// event may or may not have been stored, except for CodeOverloaded,
// CodeTopicOverloaded and CodeShuttingDown: then nothing was taken. The end of
// ctx ends the wait, not the writing.
//
// Next: [admission.admit], then [topicActor.acceptIngest].
func (s *System) Ingest(ctx context.Context, events []sekali.Event) ([]sekali.Result, error) {
	if err := s.storeReady(); err != nil { // also for ids that memory would know
		return nil, err
	}
	request := newIngestRequest(events)
	if err := s.admission.admit(request.parts); err != nil {
		return nil, err
	}
	s.actors.Root.Send(s.router, request)
	select {
	case <-request.done:
	case <-ctx.Done():
		return nil, errUndecided
	case <-s.abandoned:
		return nil, errUndecided
	}
	if err := request.failure.Load(); err != nil {
		return nil, err
	}
	return request.results, nil
}

// errUndecided answers whoever cannot wait any longer for the disk.
var errUndecided = &sekali.Error{
	Code: sekali.CodeTimeout, RetryAfter: time.Second,
	Message: "the disk did not answer in time; the events may or may not be stored, send the request again with the same ids",
}

// Stats returns the counts. Every answer that Ingest gave before the call is
// counted in it.
func (s *System) Stats(ctx context.Context) (sekali.Stats, error) {
	reply := make(chan *sekali.Stats, 1)
	s.actors.Root.Send(s.stats, &statsQuery{reply: reply})
	select {
	case stats := <-reply:
		stats.InFlight, stats.ActiveTopics = s.admission.inUse()
		return *stats, nil
	case <-ctx.Done():
		return sekali.Stats{}, fmt.Errorf("wait for the statistics: %w", ctx.Err())
	}
}

// Topics returns a page of topics with their counts; those of every answer
// that Ingest gave before the call are in it.
func (s *System) Topics(ctx context.Context, q sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	if err := s.committer.settle(ctx); err != nil {
		return nil, err
	}
	return s.store.Topics(ctx, q)
}

// Event returns one event with the duplicates that were answered before the
// call, or an error with CodeNotFound.
func (s *System) Event(ctx context.Context, topic, id string) (sekali.EventDetail, error) {
	if err := s.committer.settle(ctx); err != nil {
		return sekali.EventDetail{}, err
	}
	return s.store.Event(ctx, topic, id)
}

// Events returns a page of events.
func (s *System) Events(ctx context.Context, q sekali.EventsQuery) (sekali.EventsPage, error) {
	return s.store.Events(ctx, q)
}

// Ready returns nil while events are taken, else the error that says why not.
func (s *System) Ready() error {
	if err := s.storeReady(); err != nil {
		return err
	}
	if s.closing.Load() {
		return sekali.ErrShuttingDown
	}
	return nil
}

// storeReady returns the error of every write at this moment, or nil.
func (s *System) storeReady() error {
	if s.committer.hasFailed() {
		return sekali.ErrStorageFailed
	}
	return s.store.Ready()
}

// Admits returns the error of every Ingest at this moment, whatever the events,
// or nil when it depends on them. After a refusal for want of room that is so
// until a sixteenth of the limits is free again.
func (s *System) Admits() error {
	if err := s.Ready(); err != nil {
		return err
	}
	if full := s.admission.full.Load(); full != nil {
		return full
	}
	return nil
}

// Failed is closed when the storage has failed for good: nothing will be
// acknowledged any more and the process should end.
func (s *System) Failed() <-chan struct{} { return s.committer.failed }

// Drain refuses new events and waits until all admitted ones are decided. When
// ctx ends before, it answers everyone who still waits with CodeTimeout and
// returns an error.
func (s *System) Drain(ctx context.Context) error {
	s.closing.Store(true)
	drained := s.admission.close()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	if events, _ := s.admission.inUse(); events > 0 {
		s.abandonOnce.Do(func() { close(s.abandoned) })
		return fmt.Errorf("%d events in flight are undecided: %w", events, ctx.Err())
	}
	return nil
}

// Close drains, stops the actors and writes the last counts. The store stays
// open; with an error it may be in use still. Only the first call does
// anything.
func (s *System) Close(ctx context.Context) error {
	err := s.Drain(ctx)
	if s.stopSweeper == nil {
		return err
	}
	s.stopSweeper()
	s.stopSweeper = nil
	// Nothing is queued now unless the drain failed, so stopping the topics
	// with their router loses nothing that was promised.
	err = errors.Join(err, s.poison(ctx, s.router), s.poison(ctx, s.stats), s.committer.stop(ctx))
	s.actors.Shutdown()
	if n := s.deadLetters.Load(); n > 0 {
		s.log.Warn("messages reached no actor", "count", n)
	}
	return err
}

// poison stops an actor behind what it has queued. The library's own wait ends
// after ten seconds whatever happens, so ours is the context.
func (s *System) poison(ctx context.Context, pid *actor.PID) error {
	stopped := make(chan struct{})
	future := s.actors.Root.PoisonFuture(pid)
	go func() {
		_ = future.Wait() // its time-out shows in ctx or not at all
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop actor %s: %w", pid.GetId(), ctx.Err())
	}
}
