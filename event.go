package sekali

import (
	"hash/maphash"
	"time"
)

// Limits on the values of an event, in bytes unless said otherwise. They hold
// for every store; PostgreSQL's index rows of at most 2,704 bytes and its
// refusal of NUL set them, so that no event fits one store and not another.
const (
	MaxTopicBytes   = 255
	MaxEventIDBytes = 255
	MaxSourceBytes  = 255
	MaxPayloadDepth = 64 // nesting levels, the payload object itself being 1
)

// Event is one validated event as a sender handed it in. An Event owns its
// memory: no field shares bytes with a request buffer.
type Event struct {
	Topic  string
	ID     string // unique within Topic
	Source string
	// Timestamp is the event time exactly as sent; Time is its meaning.
	Timestamp string
	Time      time.Time
	// Payload is a JSON object, byte for byte as sent. It is never modified
	// after the event was built.
	Payload []byte
}

// fingerprintSeeds are drawn anew by every process, so that a sender cannot
// aim at equal fingerprints: one for each part, so that equal parts in other
// places are other fingerprints.
var fingerprintSeeds = [3]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed()}

// Fingerprint condenses what makes two writes of one id equal: source,
// timestamp and payload. Different contents have equal fingerprints with a
// chance of 2^-64; fingerprints decide the conflict mark of a duplicate and
// never whether something is a duplicate. They are comparable within one
// process only and must not be stored.
func (e *Event) Fingerprint() uint64 {
	return ContentFingerprint(e.Source, e.Timestamp, e.Payload)
}

// ContentFingerprint is Fingerprint for the stored parts of an event.
func ContentFingerprint(source, timestamp string, payload []byte) uint64 {
	return maphash.String(fingerprintSeeds[0], source) ^
		maphash.String(fingerprintSeeds[1], timestamp) ^
		maphash.Bytes(fingerprintSeeds[2], payload)
}

// EventOverheadBytes is what an event takes beside its values: the structures
// that carry it through the actors.
const EventOverheadBytes = 256

// Size is the memory that an event is charged for at admission, in bytes: its
// values and EventOverheadBytes.
func (e *Event) Size() int {
	return len(e.Topic) + len(e.ID) + len(e.Source) + len(e.Timestamp) + len(e.Payload) + EventOverheadBytes
}

// StoredEvent is an event as it is read back.
type StoredEvent struct {
	Event
	Seq         int64     // position in the store, ascending in commit order, from 1
	ProcessedAt time.Time // when the commit that stored it began, UTC
}

// EventDetail is one event with what happened to its id since.
type EventDetail struct {
	StoredEvent
	DuplicateCount int64
	ConflictCount  int64     // how many of the duplicates differed in content
	LastDuplicate  time.Time // zero when there was none
}
