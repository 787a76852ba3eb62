package sekali

import (
	"context"
	"time"
)

// Store keeps events, once per topic and id. It is the only judge of "new":
// memory may answer that an id was seen, never that it was not.
//
// One goroutine at a time calls AppendBatch; every other method may be called
// at any time from any goroutine. persistence/storetest holds the behaviour
// that each implementation must show.
type Store interface {
	// AppendBatch decides and stores the batch in one transaction and returns
	// after it is on stable storage: one Decision per event, in order, an id
	// that repeats within the batch being stored once. The per-topic counts
	// change in the same transaction. On an error nothing of the batch may be
	// assumed stored or not stored. Errors carry CodeStorageBusy or
	// CodeStorageFull when a later batch may succeed and CodeStorageFailed when
	// the store refuses all further writes. The context bounds waiting for the
	// start of the transaction only.
	AppendBatch(ctx context.Context, b Batch) (Appended, error)

	// Ready returns the error of every AppendBatch at this moment, or nil. The
	// store may know of it before the next one does: that it has failed beside
	// one, or that its disk is full. It does not block.
	Ready() error

	// Totals returns the sums over all topics, as restored at start.
	Totals(ctx context.Context) (Totals, error)

	// Topics returns up to q.Limit topics with their counts, by ascending name
	// (bytewise), names greater than q.After.
	Topics(ctx context.Context, q TopicsQuery) ([]TopicStats, error)

	// Topic returns the counts of one topic, or an error with CodeNotFound.
	Topic(ctx context.Context, name string) (TopicStats, error)

	// Events returns a page of events. It reads for a bounded time and holds
	// no snapshot after it returned.
	Events(ctx context.Context, q EventsQuery) (EventsPage, error)

	// Event returns one event, or an error with CodeNotFound.
	Event(ctx context.Context, topic, id string) (EventDetail, error)

	// Close waits for a running AppendBatch, brings the files into their
	// resting state and releases them. The store cannot be used afterwards.
	Close() error
}

// Batch is what one transaction stores: new events and counts of duplicates.
type Batch struct {
	Events []Event
	// Duplicates are tallies of duplicates that were found earlier.
	Duplicates []DuplicateTally
	// At becomes the ProcessedAt of the events.
	At time.Time
}

// DuplicateTally counts repeated writes of one stored event.
type DuplicateTally struct {
	Topic     string
	Seq       int64 // the stored event
	Count     int64 // repeats, at least 1
	Conflicts int64 // how many of them differed in content
	LastAt    time.Time
}

// Appended is the fate of a batch. Decisions has one entry per event.
type Appended struct {
	Decisions []Decision
	// NewTopics are the topics that this batch created.
	NewTopics []string
}

// Decision is the fate of one event of a batch.
type Decision struct {
	// Stored is true when this write was the first of its id.
	Stored bool
	// Seq is the position of the stored event, be it this one or an earlier.
	Seq int64
	// Fingerprint is that of the stored content; set when Stored is false.
	Fingerprint uint64
}

// Totals are counts over all topics.
type Totals struct {
	Unique     int64
	Duplicates int64
	Conflicts  int64
	Topics     int64
}

// TopicStats are the counts of one topic. Received is Unique + Duplicates.
type TopicStats struct {
	Topic      string
	Unique     int64
	Duplicates int64
	Conflicts  int64
	FirstSeen  time.Time
	LastSeen   time.Time // last stored event or counted duplicate
}

// TopicsQuery selects a page of topics.
type TopicsQuery struct {
	After string // topics with a greater name; "" starts at the first
	Limit int    // at least 1
}

// EventsQuery selects a page of events. Zero values do not filter.
type EventsQuery struct {
	Topic, EventID, Source string
	Since, Until           time.Time // event time, both inclusive
	// After continues behind this seq, in the direction of the order; 0 starts
	// at the first event, or at the newest when Descending.
	After      int64
	Descending bool
	// UpTo leaves out events with a greater seq; 0 means no bound. A reader of
	// everything sets it to the first page's LastSeq, so that it ends although
	// events keep coming.
	UpTo  int64
	Limit int // at least 1
}

// EventsPage is one page of events in the order asked for.
type EventsPage struct {
	Events []StoredEvent
	// Next continues the query as EventsQuery.After; 0 means that there is
	// nothing more. A page may hold fewer events than asked for, even none,
	// and still have a Next: a filter that matches little is searched in
	// bounded steps, and large payloads fill a page early.
	Next int64
	// LastSeq is the newest seq of the store when the page was read.
	LastSeq int64
}
