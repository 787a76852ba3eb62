package httpserver

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

// parsedBatch is the content of a request: the valid events in order, with
// memory of their own, and the faults of the others, by rising index.
type parsedBatch struct {
	events []sekali.Event
	faults []fault
	total  int // events in the request, valid or not
	// unlisted faults were found beside those of faults.
	unlisted int
	at       location
}

// parser reads one body. The decoder finds out whether it is JSON, one value
// of the body after the other; what is in a value is then found by walking over
// it. It is strict where encoding/json is not: names are exact and may appear
// once, strings are valid UTF-8 without lone surrogates, one value and nothing
// behind it.
type parser struct {
	decoder   jsontext.Decoder
	source    bytes.Buffer // what the decoder reads: the body, uncopied
	batch     parsedBatch
	maxEvents int
	cleanUTF8 bool // the body as a whole is valid UTF-8

	found     []foundEvent // the valid events, in the memory of the body and of unescaped
	unescaped []byte       // strings that were written with escapes; only grows
	names     [][]byte     // the names of the event being read that are not ours
}

// The decoder takes duplicate names and invalid UTF-8: both are found here,
// where they get a fault with a place instead of "malformed", and inside a
// payload duplicate names are none of our business.
var decoderOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

var parsers = sync.Pool{New: func() any { return new(parser) }}

// What may be kept for the next request; nothing large stays behind.
const (
	maxPooledEvents = 10_000
	maxPooledText   = 64 << 10
)

// parseEvents reads one event object, an array of events, or an object with an
// array named "events". Faults in events are in the batch; an error means that
// the body as a whole is of no use. Nothing in the result refers to body.
func parseEvents(body []byte, maxEvents int) (parsedBatch, error) {
	p := parsers.Get().(*parser)
	defer p.release()
	p.source = *bytes.NewBuffer(body)
	p.decoder.Reset(&p.source, decoderOptions...)
	p.batch = parsedBatch{at: location{root: "body"}}
	p.maxEvents, p.cleanUTF8 = maxEvents, utf8.Valid(body)
	if err := p.body(); err != nil {
		return parsedBatch{}, malformed(err)
	}
	p.batch.events = own(p.found)
	return p.batch, nil
}

// release forgets the body and keeps the memory for the next one.
func (p *parser) release() {
	overwrite(p.unescaped)
	if len(p.found) > maxPooledEvents || len(p.unescaped) > maxPooledText {
		return
	}
	p.batch, p.source = parsedBatch{}, bytes.Buffer{}
	p.decoder.Reset(&p.source)
	clear(p.found)
	clear(p.names[:cap(p.names)])
	p.found, p.unescaped = p.found[:0], p.unescaped[:0]
	parsers.Put(p)
}

// malformed turns the decoder's error into an answer; others pass.
func malformed(err error) error {
	var (
		syntax *jsontext.SyntacticError
		known  *sekali.Error
		faults *validationError
	)
	switch {
	case errors.As(err, &known), errors.As(err, &faults):
		return err
	case errors.As(err, &syntax):
		at := strconv.FormatInt(syntax.ByteOffset, 10)
		return problem(codeMalformed, "the body is not valid JSON: "+printable(syntax.Err.Error())+" at byte "+at)
	default:
		return problem(codeMalformed, "the body is not valid JSON: it ends too early")
	}
}

func (p *parser) body() error {
	refusal := p.content()
	if _, ok := errors.AsType[*validationError](refusal); refusal != nil && !ok {
		return refusal
	}
	// A value that is no event is told so only if it is JSON to its end.
	switch _, err := p.decoder.ReadToken(); {
	case errors.Is(err, io.EOF):
		return refusal
	case err != nil:
		return err
	default:
		return problem(codeMalformed, "the body is not valid JSON: there is something behind its end at byte "+strconv.FormatInt(p.decoder.InputOffset(), 10))
	}
}

// content reads the one value that a body should be.
func (p *parser) content() error {
	if p.decoder.PeekKind() == '[' {
		return p.array()
	}
	value, err := p.decoder.ReadValue()
	switch {
	case err != nil:
		return err
	case value[0] != '{':
		return p.refuse("model_attributes_type", "Input should be an event object, an array of them, or an object with an array named events")
	}
	if events := p.event(value, true); events != nil {
		return p.envelope(events)
	}
	return nil
}

// refuse refuses the body as a whole for what it is.
func (p *parser) refuse(typ, msg string) error {
	return &validationError{code: sekali.CodeInvalidEvent, base: p.batch.at, faults: []fault{{index: -1, typ: typ, msg: msg}}}
}

// array reads the events of an array: it is refused at the first that is too
// many, whatever follows.
func (p *parser) array() error {
	p.batch.at.indexed = true
	if _, err := p.decoder.ReadToken(); err != nil {
		return err
	}
	for p.decoder.PeekKind() != ']' {
		if err := p.room(); err != nil {
			return err
		}
		value, err := p.decoder.ReadValue()
		if err != nil {
			return err
		}
		p.event(value, false)
	}
	_, err := p.decoder.ReadToken()
	return err
}

// envelope reads the events of {"events": [...]}, which the decoder has seen.
func (p *parser) envelope(events []byte) error {
	p.batch.at.envelope = true
	if events[0] != '[' {
		return p.refuse("list_type", "Input should be a valid list")
	}
	p.batch.at.indexed = true
	for i := pastBlanks(events, 1); events[i] != ']'; {
		if err := p.room(); err != nil {
			return err
		}
		end, _ := pastValue(events, i)
		p.event(events[i:end], false)
		i = pastComma(events, end)
	}
	return nil
}

func (p *parser) room() error {
	if p.batch.total == p.maxEvents {
		return problem(codeBatchTooLarge, "the batch has more than "+strconv.Itoa(p.maxEvents)+" events; send smaller ones")
	}
	return nil
}
