package generator

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
)

// Publisher is a Script that sends the events of a stream.
type Publisher struct {
	stream *Stream
	number int // of this publisher
	// drops says that a refused request is not sent again: its events are left
	// out.
	drops bool

	template  *template
	rng       *rand.PCG
	threshold uint64 // a random number below it means a repeat
	expected  []expectation
	sent      []reference
	answer    publishAnswer
	again     bool // the last request was refused and is sent again
}

// OnRefusal is what a publisher does when the server is too busy.
type OnRefusal bool

const (
	// SendAgain sends the same request again, so that the stream has no holes.
	SendAgain OnRefusal = false
	// LeaveOut goes on with other events, as a sender does that has no memory.
	LeaveOut OnRefusal = true
)

// NewPublisher returns the script of a stream's publisher, numbered from 0.
func NewPublisher(t Target, s *Stream, number int, refusal OnRefusal) *Publisher {
	return &Publisher{
		stream: s, number: number, drops: bool(refusal),
		template:  newTemplate(t, s.batch),
		rng:       rand.NewPCG(s.seed, uint64(number)),
		threshold: thresholdOf(s.repeats.Share),
		expected:  make([]expectation, s.batch),
		sent:      make([]reference, s.batch),
	}
}

func thresholdOf(share float64) uint64 {
	if share >= 1 {
		return math.MaxUint64
	}
	return uint64(share * (1 << 64))
}

// Publishers returns the scripts of all publishers of a stream.
func Publishers(t Target, s *Stream, refusal OnRefusal) []Script {
	scripts := make([]Script, len(s.slots))
	for i := range scripts {
		scripts[i] = NewPublisher(t, s, i, refusal)
	}
	return scripts
}

// Next implements Script.
func (p *Publisher) Next() []byte {
	if p.again {
		p.again = false
		return p.template.bytes
	}
	if p.stream.quota.Add(-1) < 0 {
		return nil
	}
	fresh := p.drawRepeats()
	n := p.stream.claim(p.number, fresh)
	for i, e := range p.expected {
		if e == isNew {
			p.sent[i] = reference{p.stream.run, n}
			n++
		}
		p.template.put(i, p.sent[i].run, p.sent[i].n)
	}
	return p.template.bytes
}

// drawRepeats decides which events of the next request are repeats, and of
// what, and returns how many are new.
func (p *Publisher) drawRepeats() (fresh int) {
	var known repeatable
	if p.threshold > 0 {
		known = p.stream.repeatable()
	}
	for i := range p.expected {
		if known.count > 0 && p.isRepeat() {
			p.expected[i], p.sent[i] = isRepeat, known.draw(p.rng)
			continue
		}
		p.expected[i] = isNew
		fresh++
	}
	return fresh
}

func (p *Publisher) isRepeat() bool {
	return p.threshold == math.MaxUint64 || p.rng.Uint64() < p.threshold
}

// Judge implements Script.
func (p *Publisher) Judge(a Answer) Judgement {
	if a.Status != http.StatusOK {
		return p.refused(a)
	}
	if err := p.answer.judge(a.Body, p.expected); err != nil {
		return Judgement{Problem: fmt.Errorf("request with event %d of run %08x first: %w", p.sent[0].n, p.sent[0].run.Key, err)}
	}
	p.stream.settle(p.number)
	return Judgement{Stored: int(p.answer.stored), Duplicates: int(p.answer.duplicates)}
}

func (p *Publisher) refused(a Answer) Judgement {
	j := status(a)
	if !j.Refused || p.drops {
		return j
	}
	// Some refusals leave open whether the events were stored.
	for i := range p.expected {
		if p.expected[i] == isNew {
			p.expected[i] = isEither
		}
	}
	p.again = true
	return j
}

// EchoScript sends what a publisher sends to a server that returns it.
type EchoScript struct{ Publisher *Publisher }

// Next implements Script.
func (e EchoScript) Next() []byte { return e.Publisher.Next() }

// Judge implements Script.
func (e EchoScript) Judge(a Answer) Judgement {
	p := e.Publisher
	if a.Status != http.StatusOK || !bytes.Equal(a.Body, p.template.bytes[p.template.body:]) {
		return Judgement{Problem: fmt.Errorf("the echo answered HTTP %d with %d bytes that are not the request's %d",
			a.Status, len(a.Body), len(p.template.bytes)-p.template.body)}
	}
	p.stream.settle(p.number)
	return Judgement{Stored: p.stream.batch}
}
