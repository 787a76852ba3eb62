package sekali

import "time"

// MaxListedTopics is how many topic names Stats carries.
const MaxListedTopics = 1000

// Stats are the counts of a node and what it is doing.
type Stats struct {
	Unique, Duplicates, Conflicts int64
	// Topics are the first names in bytewise order, at most MaxListedTopics;
	// TopicsTotal counts all of them.
	Topics      []string
	TopicsTotal int64

	InFlight     int // events admitted and not answered
	ActiveTopics int // topics that have an actor
	StartedAt    time.Time
}

// Received is the number of events taken: each was unique or a duplicate.
func (s *Stats) Received() int64 { return s.Unique + s.Duplicates }
