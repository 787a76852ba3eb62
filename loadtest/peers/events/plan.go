package events

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Plan is a list of events to send, some of which repeat an earlier one.
type Plan struct {
	*Maker
	numbers []uint32 // of the event at each place
	firsts  []uint32 // how many different events there are before each 1,024th place
}

// Nearby is how many new events a near repeat may reach back.
const Nearby = 1000

const firstsStep = 1024

// NewPlan lists total events of a seed. The given share of them, exactly,
// repeats an earlier one: one half anything of the last Nearby, as a sender does
// that had no answer, the other half anything at all, as a replay does.
func NewPlan(seed uint64, total int, repeats float64) (*Plan, error) {
	if total < 1 || total > math.MaxUint32 || repeats < 0 || repeats > 0.9 {
		return nil, fmt.Errorf("no plan of %d events with a share of %g repeats: 1 to 2^32-1 and 0 to 0.9", total, repeats)
	}
	p := &Plan{Maker: NewMaker(seed), numbers: make([]uint32, total)}
	random := rand.New(rand.NewPCG(seed, uint64(total))) // It is no secret.
	wanted := min(int(float64(total)*repeats), total-1)
	next := uint32(0)
	for i := range p.numbers {
		if i%firstsStep == 0 {
			p.firsts = append(p.firsts, next)
		}
		// As many of the places that are left are repeats as still wanted.
		if i > 0 && random.IntN(total-i) < wanted {
			wanted--
			p.numbers[i] = earlier(random, next)
			continue
		}
		p.numbers[i] = next
		next++
	}
	return p, nil
}

// earlier chooses the original of a repeat among the events before next.
func earlier(random *rand.Rand, next uint32) uint32 {
	if random.IntN(2) == 0 {
		return next - 1 - random.Uint32N(min(next, Nearby))
	}
	return random.Uint32N(next)
}

// Total is how many events are sent.
func (p *Plan) Total() int { return len(p.numbers) }

// AverageBytes is the size of the events as JSON, taken from some of them.
func (p *Plan) AverageBytes() int {
	const some = 10_000
	var b Batch
	b.Fill(p, 0, some)
	return len(b.JSON) / len(b.Events)
}

// Distinct is how many different events the first n are. They are the events
// with the numbers below it.
func (p *Plan) Distinct(n int) int {
	if n == 0 {
		return 0
	}
	block := (n - 1) / firstsStep
	distinct := p.firsts[block]
	for _, number := range p.numbers[block*firstsStep : n] {
		if number == distinct {
			distinct++
		}
	}
	return int(distinct)
}

// Batch is some events that follow each other. Fill reuses its memory except
// for what the events' strings share.
type Batch struct {
	Events []Event
	JSON   []byte // all of them as a JSON array

	places []layout
}

// Fill renders the events from place first on, size of them or what is left.
func (b *Batch) Fill(p *Plan, first, size int) {
	numbers := p.numbers[first:min(first+size, len(p.numbers))]
	b.Events, b.places = b.Events[:0], b.places[:0]
	b.JSON = append(b.JSON[:0], '[')
	for i, number := range numbers {
		if i > 0 {
			b.JSON = append(b.JSON, ',')
		}
		var at layout
		b.JSON, at = p.append(b.JSON, number)
		b.places = append(b.places, at)
	}
	b.JSON = append(b.JSON, ']')
	text := string(b.JSON)
	for i, number := range numbers {
		b.Events = append(b.Events, b.places[i].event(number, text))
	}
}
