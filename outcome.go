package sekali

// Outcome says what became of one event of a request.
type Outcome uint8

const (
	// OutcomeUnknown is the zero value; no answered event carries it.
	OutcomeUnknown Outcome = iota
	// OutcomeStored marks the first write of an id: it is on disk and counted.
	OutcomeStored
	// OutcomeDuplicate marks a repeated id: the first write is on disk.
	OutcomeDuplicate
	// OutcomeInvalid marks an event that was refused and left no trace. Only
	// lenient requests see it; others are refused whole.
	OutcomeInvalid
)

// String returns the outcome's name in the HTTP API.
func (o Outcome) String() string {
	switch o {
	case OutcomeStored:
		return "stored"
	case OutcomeDuplicate:
		return "duplicate"
	case OutcomeInvalid:
		return "invalid"
	default:
		return "unknown"
	}
}

// Result is the answer for one event.
type Result struct {
	Outcome Outcome
	// Seq is the position of the stored event: its own for OutcomeStored, the
	// first one's for OutcomeDuplicate, 0 otherwise.
	Seq int64
	// Conflict marks a duplicate whose source, timestamp or payload differ
	// from the stored event's.
	Conflict bool
}
