package generator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// expectation is how an event must be answered.
type expectation uint8

const (
	isNew    expectation = iota // stored: its number was never sent before
	isRepeat                    // duplicate: its number was acknowledged
	isEither                    // it was sent before, and what became of it is not known
)

// verdict is the answer for one event.
type verdict struct {
	duplicate, conflict bool
	seq                 int64
}

// publishAnswer is the answer to a publish. Its slice is used again.
type publishAnswer struct {
	accepted, stored, duplicates int64
	verdicts                     []verdict
}

// judge reads an answer in place and holds every result in it against what was
// expected.
func (a *publishAnswer) judge(body []byte, expected []expectation) error {
	if !a.scan(body) {
		if err := a.decode(body); err != nil {
			return fmt.Errorf("the answer is not in the API's form: %w", err)
		}
	}
	if len(a.verdicts) != len(expected) || a.accepted != int64(len(expected)) {
		return fmt.Errorf("%d accepted and %d results for %d events", a.accepted, len(a.verdicts), len(expected))
	}
	var duplicates int64
	for i, v := range a.verdicts {
		if err := v.against(expected[i]); err != nil {
			return fmt.Errorf("event %d of the request: %w", i, err)
		}
		if v.duplicate {
			duplicates++
		}
	}
	if a.duplicates != duplicates || a.stored != a.accepted-duplicates {
		return fmt.Errorf("the counts say %d stored and %d duplicates, the results %d and %d",
			a.stored, a.duplicates, a.accepted-duplicates, duplicates)
	}
	return nil
}

func (v verdict) against(e expectation) error {
	switch {
	case v.seq <= 0:
		return fmt.Errorf("its seq is %d", v.seq)
	case v.conflict:
		return errors.New("it is called a conflict, but its content was always the same")
	case e == isNew && v.duplicate:
		return errors.New("it is called a duplicate, but was never sent before")
	case e == isRepeat && !v.duplicate:
		return errors.New("it is called stored, but was acknowledged before: it was lost or stored twice")
	}
	return nil
}

// scan reads the form that Sekali writes; false means that it is another one.
func (a *publishAnswer) scan(body []byte) bool {
	a.verdicts = a.verdicts[:0]
	s := scanner{rest: body, ok: true}
	s.literal(`{"status":"ok","accepted":`)
	a.accepted = s.number()
	s.literal(`,"stored":`)
	a.stored = s.number()
	s.literal(`,"duplicates":`)
	a.duplicates = s.number()
	s.literal(`,"results":[`)
	for s.ok && !s.try("]}") {
		if len(a.verdicts) > 0 {
			s.literal(",")
		}
		s.literal(`{"outcome":"`)
		v := verdict{duplicate: s.try("duplicate")}
		if !v.duplicate {
			s.literal("stored")
		}
		s.literal(`","seq":`)
		v.seq = s.number()
		s.literal("}")
		a.verdicts = append(a.verdicts, v)
	}
	return s.ok && len(bytes.TrimSpace(s.rest)) == 0
}

// decode reads any JSON form.
func (a *publishAnswer) decode(body []byte) error {
	var wire struct {
		Accepted, Stored, Duplicates int64
		Results                      []struct {
			Outcome  string
			Seq      int64
			Conflict bool
		}
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return err
	}
	a.accepted, a.stored, a.duplicates = wire.Accepted, wire.Stored, wire.Duplicates
	a.verdicts = a.verdicts[:0]
	for i, r := range wire.Results {
		if r.Outcome != "stored" && r.Outcome != "duplicate" {
			return fmt.Errorf("the outcome of event %d is %q", i, r.Outcome)
		}
		a.verdicts = append(a.verdicts, verdict{duplicate: r.Outcome == "duplicate", seq: r.Seq, conflict: r.Conflict})
	}
	return nil
}

// scanner reads tokens off the front of a text. After the first that does not
// fit ok is false and the rest no longer matters.
type scanner struct {
	rest []byte
	ok   bool
}

func (s *scanner) try(token string) bool {
	if len(s.rest) < len(token) || string(s.rest[:len(token)]) != token {
		return false
	}
	s.rest = s.rest[len(token):]
	return true
}

func (s *scanner) literal(token string) { s.ok = s.ok && s.try(token) }

func (s *scanner) number() (n int64) {
	digits := 0
	for digits < len(s.rest) && digits < 18 && s.rest[digits] >= '0' && s.rest[digits] <= '9' {
		n = n*10 + int64(s.rest[digits]-'0')
		digits++
	}
	s.rest = s.rest[digits:]
	s.ok = s.ok && digits > 0
	return n
}
