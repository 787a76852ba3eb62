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
	at     location
}

// parser walks over one body. It is strict where encoding/json is not: names
// are exact and may appear once, strings are valid UTF-8 without lone
// surrogates, one value and nothing behind it.
type parser struct {
	batch     *parsedBatch
	maxEvents int
	cleanUTF8 bool // the body as a whole is valid UTF-8
	scratch   []byte
}

// The decoder takes duplicate names and invalid UTF-8: both are found here,
// where they get a fault with a place instead of "malformed", and inside a
// payload duplicate names are none of our business.
var decoderOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// parseEvents reads one event object, an array of events, or an object with an
// array named "events". Faults in events are in the batch; an error means that
// the body as a whole is of no use. Nothing in the result refers to body.
func parseEvents(body []byte, maxEvents int) (*parsedBatch, error) {
	dec := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(dec)
	dec.Reset(bytes.NewBuffer(body), decoderOptions...)
	p := parser{batch: &parsedBatch{at: location{root: "body"}}, maxEvents: maxEvents, cleanUTF8: utf8.Valid(body)}
	if err := p.body(dec); err != nil {
		return nil, malformed(err)
	}
	return p.batch, nil
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

func (p *parser) body(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '{':
		if err := p.event(dec, true); err != nil {
			return err
		}
	case '[':
		p.batch.at.indexed = true
		if err := p.array(dec); err != nil {
			return err
		}
	default:
		if _, err := dec.ReadValue(); err != nil {
			return err
		}
		return p.refuse("model_attributes_type", "Input should be an event object, an array of them, or an object with an array named events")
	}
	switch _, err := dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return problem(codeMalformed, "the body is not valid JSON: there is something behind its end at byte "+strconv.FormatInt(dec.InputOffset(), 10))
	}
}

// refuse refuses the body as a whole for what it is.
func (p *parser) refuse(typ, msg string) error {
	return &validationError{code: sekali.CodeInvalidEvent, base: p.batch.at, faults: []fault{{index: -1, typ: typ, msg: msg}}}
}

// array reads the events of an array.
func (p *parser) array(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if p.batch.total == p.maxEvents {
			return problem(codeBatchTooLarge, "the batch has more than "+strconv.Itoa(p.maxEvents)+" events; send smaller ones")
		}
		if err := p.event(dec, false); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// envelope reads the events of {"events": [...]}.
func (p *parser) envelope(events jsontext.Value) error {
	p.batch.at.envelope = true
	if events.Kind() != '[' {
		return p.refuse("list_type", "Input should be a valid list")
	}
	p.batch.at.indexed = true
	// The value lies in the request's body and has been found well-formed.
	return p.array(jsontext.NewDecoder(bytes.NewBuffer(events), decoderOptions...))
}
