package actors

import (
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"sekali"
)

// statsActor adds up what the topics report. Its counts begin with the store's.
type statsActor struct {
	log   *slog.Logger
	stats sekali.Stats
}

func newStatsActor(log *slog.Logger, initial sekali.Stats) actor.Actor {
	return &statsActor{log: log, stats: initial}
}

// Receive implements actor.Actor.
func (a *statsActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *eventsStored:
		a.countStored(msg)
	case *duplicatesFound:
		a.stats.Duplicates += msg.count
		a.stats.Conflicts += msg.conflicts
	case *statsQuery:
		s := a.stats
		s.Topics = slices.Clone(s.Topics)
		msg.reply <- &s
	case actor.SystemMessage, actor.AutoReceiveMessage: // lifecycle we do not use
	default:
		a.log.Error("stats actor got an unknown message", "message", msg)
	}
}

func (a *statsActor) countStored(msg *eventsStored) {
	a.stats.Unique += msg.count
	a.stats.TopicsTotal += int64(len(msg.newTopics))
	for _, name := range msg.newTopics {
		a.list(name)
	}
}

// list keeps the smallest names.
func (a *statsActor) list(name string) {
	at, known := slices.BinarySearch(a.stats.Topics, name)
	if known || at == sekali.MaxListedTopics {
		return
	}
	a.stats.Topics = slices.Insert(a.stats.Topics, at, name)
	if len(a.stats.Topics) > sekali.MaxListedTopics {
		a.stats.Topics = a.stats.Topics[:sekali.MaxListedTopics]
	}
}

func initialStats(totals sekali.Totals, topics []sekali.TopicStats) sekali.Stats {
	s := sekali.Stats{
		Unique: totals.Unique, Duplicates: totals.Duplicates, Conflicts: totals.Conflicts,
		TopicsTotal: totals.Topics, StartedAt: time.Now().UTC(),
	}
	for _, t := range topics {
		s.Topics = append(s.Topics, t.Topic)
	}
	return s
}
