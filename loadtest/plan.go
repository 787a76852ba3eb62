package loadtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"sekali"
	"sekali/client"
)

// plan is what a run sends. Everything in it follows from the options; it does
// not change while the run is on.
type plan struct {
	options Options
	// sends holds the number of the event of each send, in order. Events are
	// numbered from 0 in the order of their first send.
	sends  []uint32
	unique int      // number of different events
	topics []string // names
	bodies [][]byte // encoded requests, or nil when they would not fit
}

// maxEncodedBytes bounds the memory for bodies that are encoded beforehand.
const maxEncodedBytes = 256 << 20

// firstEvent is the time of event 0; each later event is 1 ms younger. It is
// fixed, so that a seed always means the same bytes.
var firstEvent = time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)

func newPlan(o Options) (*plan, error) {
	p := &plan{options: o}
	p.unique = max(1, int(math.Round(float64(o.Events)*(1-o.DuplicateShare))))
	p.topics = make([]string, min(o.Topics, p.unique))
	for i := range p.topics {
		p.topics[i] = topicPrefix(o) + strconv.Itoa(i)
	}
	p.drawSends()
	if o.Events*(o.PayloadBytes+200) > maxEncodedBytes {
		return p, nil
	}
	p.bodies = make([][]byte, p.requests())
	for i := range p.bodies {
		body, err := p.encode(i)
		if err != nil {
			return nil, err
		}
		p.bodies[i] = body
	}
	return p, nil
}

// topicPrefix begins the name of every topic of a run and of no other.
func topicPrefix(o Options) string { return "loadtest." + o.RunID + "." }

// drawSends mixes new ids and repeats evenly over the run. Half of the repeats
// are of ids so recent that their first send may still be unanswered on another
// connection, the other half of any earlier id.
func (p *plan) drawSends() {
	o := p.options
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	recent := 2 * o.BatchSize * o.Connections
	p.sends = make([]uint32, o.Events)
	known := 0
	for i := range p.sends {
		left := len(p.sends) - i
		if known == 0 || rng.IntN(left) < p.unique-known {
			p.sends[i] = uint32(known)
			known++
			continue
		}
		from := 0
		if rng.IntN(2) == 0 {
			from = max(0, known-recent)
		}
		p.sends[i] = uint32(from + rng.IntN(known-from))
	}
}

// requests is the number of requests that the sends are cut into.
func (p *plan) requests() int {
	return (len(p.sends) + p.options.BatchSize - 1) / p.options.BatchSize
}

// request returns the index of the first send of a request and the one behind
// its last.
func (p *plan) request(i int) (from, to int) {
	from = i * p.options.BatchSize
	return from, min(from+p.options.BatchSize, len(p.sends))
}

// body returns an encoded request.
func (p *plan) body(i int) ([]byte, error) {
	if p.bodies != nil {
		return p.bodies[i], nil
	}
	return p.encode(i)
}

func (p *plan) encode(i int) ([]byte, error) {
	from, to := p.request(i)
	body := make([]byte, 0, (to-from)*(p.options.PayloadBytes+200))
	array := p.options.BatchSize > 1
	var err error
	for s := from; s < to; s++ {
		if array {
			body = append(body, separator(s == from))
		}
		e := p.event(int(p.sends[s]))
		if body, err = client.AppendEvent(body, &e); err != nil {
			return nil, fmt.Errorf("encode event %d of the plan: %w", p.sends[s], err)
		}
	}
	if array {
		body = append(body, ']')
	}
	return body, nil
}

func separator(first bool) byte {
	if first {
		return '['
	}
	return ','
}

// topicOf returns the index of an event's topic.
func (p *plan) topicOf(k int) int { return k % len(p.topics) }

// idOf returns an event's id: the run's, then 16 hexadecimal digits that differ
// for each k and have no order, as ids in the wild.
func (p *plan) idOf(k int) string {
	var hex [16]byte
	digits := strconv.AppendUint(hex[:0], scramble(uint64(k)+p.options.Seed), 16)
	return p.options.RunID + "-" + "0000000000000000"[len(digits):] + string(digits)
}

// scramble is SplitMix64's finalizer, a one-to-one mapping.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// event builds event k. It is the same at every call, which is how the bytes
// that are read back are checked.
func (p *plan) event(k int) sekali.Event {
	at := firstEvent.Add(time.Duration(k) * time.Millisecond)
	return sekali.Event{
		Topic:     p.topics[p.topicOf(k)],
		ID:        p.idOf(k),
		Source:    "loadtest-" + strconv.Itoa(k%7),
		Timestamp: at.Format("2006-01-02T15:04:05.000Z07:00"),
		Time:      at,
		Payload:   p.payload(k),
	}
}

// payload returns an object of exactly PayloadBytes bytes.
func (p *plan) payload(k int) []byte {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	b := make([]byte, 0, p.options.PayloadBytes)
	b = append(b, `{"n":`...)
	b = strconv.AppendInt(b, int64(k), 10)
	b = append(b, `,"data":"`...)
	pcg := rand.NewPCG(p.options.Seed, uint64(k)+1)
	for len(b) < p.options.PayloadBytes-2 {
		bits := pcg.Uint64()
		for range min(10, p.options.PayloadBytes-2-len(b)) {
			b = append(b, alphabet[bits&63])
			bits >>= 6
		}
	}
	return append(b, `"}`...)
}
