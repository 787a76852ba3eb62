package httpserver

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

// The fields of an event; their bits mark which of them an object had.
const (
	fieldTopic = 1 << iota
	fieldEventID
	fieldTimestamp
	fieldSource
	fieldPayload
)

const (
	maxEventFaults = 12 // listed of one event, the last saying that there are more
	maxUnknown     = 64 // names beyond ours in one event, to find those that repeat
)

var fieldNames = [...]string{"topic", "event_id", "timestamp", "source", "payload"}

// eventReader reads one event object.
type eventReader struct {
	*parser
	dec     *jsontext.Decoder
	event   sekali.Event
	index   int
	present int      // bits of the fields seen
	unknown []string // other names seen, to find those that repeat
	events  jsontext.Value
	faulty  int // faults of this event
}

// event reads the next value as an event and adds it, or its faults, to the
// batch. Where mayEnvelop, an object of no field but "events" is a batch.
func (p *parser) event(dec *jsontext.Decoder, mayEnvelop bool) error {
	r := eventReader{parser: p, dec: dec, index: p.batch.total}
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return err
		}
		r.fault("", "model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
		p.batch.total++
		return nil
	}
	if err := r.members(); err != nil {
		return err
	}
	if mayEnvelop && r.events != nil && r.present == 0 && r.faulty == 0 {
		return p.envelope(r.events)
	}
	for i, name := range fieldNames {
		if r.present&(1<<i) == 0 {
			r.fault(name, "missing", "Field required")
		}
	}
	p.batch.total++
	if r.faulty == 0 {
		p.batch.events = append(p.batch.events, r.event)
	}
	return nil
}

// fault notes a fault of this event. Of each event the first ones are listed,
// of the others only that there are more, so that a body cannot blow itself up.
func (r *eventReader) fault(field, typ, msg string) {
	r.faulty++
	switch {
	case r.faulty == maxEventFaults:
		field, typ, msg = "", "too_many_errors", "More faults of this event are not listed"
	case r.faulty > maxEventFaults:
		return
	}
	r.batch.faults = append(r.batch.faults, fault{index: r.index, field: field, typ: typ, msg: msg})
}

// members reads an object from its opening to its closing brace.
func (r *eventReader) members() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.name()
		if err != nil {
			return err
		}
		if err := r.member(name); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// name reads a member's name; it is valid until the next read.
func (r *eventReader) name() ([]byte, error) {
	quoted, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') < 0 && (r.cleanUTF8 || utf8.Valid(name)) {
		return name, nil
	}
	r.scratch, err = jsontext.AppendUnquote(r.scratch[:0], quoted)
	if err != nil {
		r.fault("", "string_unicode", "Names should be valid Unicode: no invalid UTF-8, no lone surrogates")
	}
	return r.scratch, nil
}

func (r *eventReader) member(name []byte) error {
	switch string(name) {
	case "topic":
		return r.text(fieldTopic, "topic", sekali.MaxTopicBytes, &r.event.Topic)
	case "event_id":
		return r.text(fieldEventID, "event_id", sekali.MaxEventIDBytes, &r.event.ID)
	case "source":
		return r.text(fieldSource, "source", sekali.MaxSourceBytes, &r.event.Source)
	case "timestamp":
		return r.timestamp()
	case "payload":
		return r.payload()
	}
	r.noteUnknown(string(name))
	isEvents := string(name) == "events"
	value, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	if !r.cleanUTF8 && !utf8.Valid(value) {
		r.fault("", "string_unicode", "Input should be valid UTF-8")
	}
	if isEvents {
		r.events = value
	}
	return nil
}

func (r *eventReader) noteUnknown(name string) {
	switch {
	case len(r.unknown) > maxUnknown: // said already
	case slices.Contains(r.unknown, name):
		r.repeated(printable(name))
	default:
		r.unknown = append(r.unknown, name)
		if len(r.unknown) > maxUnknown {
			r.fault("", "too_many_fields", "An event should have at most "+strconv.Itoa(maxUnknown)+" fields beyond its own")
		}
	}
}

func (r *eventReader) repeated(name string) {
	r.fault(name, "duplicate_field", "Field should appear once")
}

// first notes a field and reports whether it is here for the first time.
func (r *eventReader) first(bit int, name string) bool {
	if r.present&bit != 0 {
		r.repeated(name)
		return false
	}
	r.present |= bit
	return true
}

// text reads a string of 1 to maxBytes bytes without control characters.
func (r *eventReader) text(bit int, name string, maxBytes int, into *string) error {
	value, ok, err := r.str(bit, name)
	if err != nil || !ok {
		return err
	}
	switch {
	case len(value) == 0:
		r.fault(name, "string_too_short", "String should have at least 1 character")
	case len(value) > maxBytes:
		r.fault(name, "string_too_long", "String should have at most "+strconv.Itoa(maxBytes)+" bytes")
	case hasControl(value):
		r.fault(name, "string_control_character", "String should not contain control characters (U+0000 to U+001F, U+007F)")
	default:
		*into = string(value)
	}
	return nil
}

// str reads and unquotes a string value; it is valid until the next read.
func (r *eventReader) str(bit int, name string) (_ []byte, ok bool, err error) {
	quoted, err := r.dec.ReadValue()
	if err != nil || !r.first(bit, name) {
		return nil, false, err
	}
	if quoted.Kind() != '"' {
		r.fault(name, "string_type", "Input should be a valid string")
		return nil, false, nil
	}
	value := []byte(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(value, '\\') < 0 && (r.cleanUTF8 || utf8.Valid(value)) {
		return value, true, nil
	}
	r.scratch, err = jsontext.AppendUnquote(r.scratch[:0], quoted)
	if err != nil {
		r.fault(name, "string_unicode", "Input should be a valid string: no invalid UTF-8, no lone surrogates")
		return nil, false, nil
	}
	return r.scratch, true, nil
}

func hasControl(s []byte) bool {
	for _, c := range s {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}

func (r *eventReader) timestamp() error {
	value, ok, err := r.str(fieldTimestamp, "timestamp")
	if err != nil || !ok {
		return err
	}
	t, why := parseTimestamp(string(value))
	if why != "" {
		r.fault("timestamp", "datetime_parsing", "Input should be a valid datetime like 2025-10-24T10:30:00Z: "+why)
		return nil
	}
	r.event.Timestamp, r.event.Time = string(value), t
	return nil
}

// payload keeps the sender's own bytes: no number is rounded, no name sorted.
func (r *eventReader) payload() error {
	value, err := r.dec.ReadValue()
	if err != nil || !r.first(fieldPayload, "payload") {
		return err
	}
	switch {
	case value.Kind() != '{':
		r.fault("payload", "dict_type", "Input should be a valid dictionary")
	case !r.cleanUTF8 && !utf8.Valid(value):
		r.fault("payload", "string_unicode", "Input should be valid UTF-8")
	case depth(value) > sekali.MaxPayloadDepth:
		r.fault("payload", "payload_too_deep", "Payload should nest at most "+strconv.Itoa(sekali.MaxPayloadDepth)+" levels")
	default:
		r.event.Payload = bytes.Clone(value)
	}
	return nil
}

// depth returns how deep a well-formed JSON value nests.
func depth(value []byte) int {
	deepest, level, quoted := 0, 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}', c == ']':
			level--
		}
	}
	return deepest
}
