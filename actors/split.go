package actors

import (
	"slices"

	"sekali"
)

// newIngestRequest groups the events of a request by topic, keeping their
// order. The events stay where they are: a part knows which are its own.
func newIngestRequest(events []sekali.Event) *ingestRequest {
	r := &ingestRequest{events: events, results: make([]sekali.Result, len(events)), done: make(chan struct{})}
	r.parts = r.whole[:]
	r.whole[0].request = r
	oneTopic := true
	for i := range events {
		oneTopic = oneTopic && events[i].Topic == events[0].Topic
		r.bytes += int64(events[i].Size())
	}
	r.whole[0].bytes = r.bytes
	if !oneTopic {
		r.split()
	}
	r.openParts.Store(int32(len(r.parts)))
	return r
}

// split makes a part for each topic. The slots of all parts lie in one piece
// of memory, those of a part behind one another.
func (r *ingestRequest) split() {
	n := len(r.events)
	memory := make([]int32, 2*n)
	partOf, slots := memory[:n], memory[n:]
	var topics topicIndex
	counts := make([]int32, 0, maxScannedTopics)
	for i := range r.events {
		at := topics.find(r.events[i].Topic)
		if at == len(counts) {
			counts = append(counts, 0)
		}
		partOf[i] = int32(at)
		counts[at]++
	}
	r.parts = make([]ingestPart, len(counts))
	for at, count := range counts {
		r.parts[at] = ingestPart{request: r, slots: slots[:0:count]}
		slots = slots[count:]
	}
	for i, at := range partOf {
		p := &r.parts[at]
		p.slots = append(p.slots, int32(i))
		p.bytes += int64(r.events[i].Size())
	}
}

// maxScannedTopics is how many topics are looked through one by one: up to
// here this is faster than a map.
const maxScannedTopics = 16

// topicIndex numbers topics in the order in which they are asked for.
type topicIndex struct {
	few   [maxScannedTopics]string
	known int
	many  map[string]int // all of them, once few is full
}

// find returns the number of a topic, the next free one if it is new.
func (x *topicIndex) find(name string) int {
	at, known := x.many[name]
	if x.many == nil {
		at = slices.Index(x.few[:x.known], name)
		known = at >= 0
	}
	if !known {
		at = x.known
		x.add(name)
	}
	return at
}

func (x *topicIndex) add(name string) {
	switch {
	case x.known < maxScannedTopics:
		x.few[x.known] = name
	case x.known == maxScannedTopics:
		x.many = make(map[string]int, 4*maxScannedTopics)
		for at, topic := range x.few {
			x.many[topic] = at
		}
		x.many[name] = x.known
	default:
		x.many[name] = x.known
	}
	x.known++
}
