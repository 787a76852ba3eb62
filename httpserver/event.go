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
	// fullFaults is how many faults of a batch are kept in full; of each faulty
	// event behind these only the first is: a body of {},{},... has twenty times
	// its size in faults.
	fullFaults = 1000
	maxUnknown = 64 // names beyond ours in one event, to find those that repeat
)

var fieldNames = [...]string{"topic", "event_id", "timestamp", "source", "payload"}

// eventReader reads one event object.
type eventReader struct {
	*parser
	event   foundEvent
	index   int
	present int    // bits of the fields seen
	events  []byte // the value of a member "events"
	faulty  int    // faults of this event
}

// event reads a value as an event and adds it, or its faults, to the batch.
// Where mayEnvelop, an object of no field but "events" is not an event: its
// value is returned.
func (p *parser) event(value []byte, mayEnvelop bool) (envelope []byte) {
	r := eventReader{parser: p, index: p.batch.total}
	if value[0] == '{' {
		r.members(value)
		if mayEnvelop && r.events != nil && r.present == 0 && r.faulty == 0 {
			return r.events
		}
		r.missing()
	} else {
		r.fault("", "model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
	}
	p.batch.total++
	if r.faulty == 0 {
		p.found = append(p.found, r.event)
	}
	return nil
}

// fault notes a fault of this event. Of each event the first ones are listed,
// of the others only that there are more, so that a body cannot blow itself up.
func (r *eventReader) fault(field, typ, msg string) {
	r.faulty++
	switch {
	case r.faulty > 1 && len(r.batch.faults) >= fullFaults:
		r.batch.unlisted++
		return
	case r.faulty == maxEventFaults:
		field, typ, msg = "", "too_many_errors", "More faults of this event are not listed"
	case r.faulty > maxEventFaults:
		return
	}
	r.batch.faults = append(r.batch.faults, fault{index: r.index, field: field, typ: typ, msg: msg})
}

// members reads an object from its opening to its closing brace.
func (r *eventReader) members(object []byte) {
	r.names = r.names[:0]
	for i := pastBlanks(object, 1); object[i] != '}'; {
		end := pastString(object, i)
		name := object[i:end]
		i = pastBlanks(object, end) // at the colon
		i = pastBlanks(object, i+1) // at the value
		end, depth := pastValue(object, i)
		r.member(r.name(name), object[i:end], depth)
		i = pastComma(object, end)
	}
}

func (r *eventReader) missing() {
	const all = 1<<len(fieldNames) - 1
	if r.present == all {
		return
	}
	for i, name := range fieldNames {
		if r.present&(1<<i) == 0 {
			r.fault(name, "missing", "Field required")
		}
	}
}

func (r *eventReader) name(quoted []byte) []byte {
	name, err := r.unquote(quoted)
	if err != nil {
		r.fault("", "string_unicode", "Names should be valid Unicode: no invalid UTF-8, no lone surrogates")
	}
	return name
}

// unquote returns what a string says: as it lies there, where it can.
func (r *eventReader) unquote(quoted []byte) ([]byte, error) {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') < 0 && (r.cleanUTF8 || utf8.Valid(plain)) {
		return plain, nil
	}
	at := len(r.unescaped)
	var err error
	r.unescaped, err = jsontext.AppendUnquote(r.unescaped, quoted)
	return r.unescaped[at:], err
}

func (r *eventReader) member(name, value []byte, depth int) {
	switch string(name) {
	case "topic":
		r.event.topic = r.text(fieldTopic, "topic", sekali.MaxTopicBytes, value)
	case "event_id":
		r.event.id = r.text(fieldEventID, "event_id", sekali.MaxEventIDBytes, value)
	case "source":
		r.event.source = r.text(fieldSource, "source", sekali.MaxSourceBytes, value)
	case "timestamp":
		r.timestamp(value)
	case "payload":
		r.payload(value, depth)
	default:
		r.unknown(name, value)
	}
}

// unknown tolerates a member that is not ours, once.
func (r *eventReader) unknown(name, value []byte) {
	switch {
	case len(r.names) > maxUnknown: // said already
	case slices.ContainsFunc(r.names, func(known []byte) bool { return bytes.Equal(known, name) }):
		r.repeated(printable(string(name)))
	default:
		r.names = append(r.names, name)
		if len(r.names) > maxUnknown {
			r.fault("", "too_many_fields", "An event should have at most "+strconv.Itoa(maxUnknown)+" fields beyond its own")
		}
	}
	if !r.cleanUTF8 && !utf8.Valid(value) {
		r.fault("", "string_unicode", "Input should be valid UTF-8")
	}
	if string(name) == "events" {
		r.events = value
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
func (r *eventReader) text(bit int, name string, maxBytes int, value []byte) []byte {
	text, ok := r.str(bit, name, value)
	if !ok {
		return nil
	}
	switch {
	case len(text) == 0:
		r.fault(name, "string_too_short", "String should have at least 1 character")
	case len(text) > maxBytes:
		r.fault(name, "string_too_long", "String should have at most "+strconv.Itoa(maxBytes)+" bytes")
	case hasControl(text):
		r.fault(name, "string_control_character", "String should not contain control characters (U+0000 to U+001F, U+007F)")
	}
	return text
}

// str unquotes a string value.
func (r *eventReader) str(bit int, name string, value []byte) (_ []byte, ok bool) {
	if !r.first(bit, name) {
		return nil, false
	}
	if value[0] != '"' {
		r.fault(name, "string_type", "Input should be a valid string")
		return nil, false
	}
	text, err := r.unquote(value)
	if err != nil {
		r.fault(name, "string_unicode", "Input should be a valid string: no invalid UTF-8, no lone surrogates")
		return nil, false
	}
	return text, true
}

func hasControl(s []byte) bool {
	for _, c := range s {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}

func (r *eventReader) timestamp(value []byte) {
	text, ok := r.str(fieldTimestamp, "timestamp", value)
	if !ok {
		return
	}
	t, why := parseTimestamp(string(text))
	if why != "" {
		r.fault("timestamp", "datetime_parsing", "Input should be a valid datetime like 2025-10-24T10:30:00Z: "+why)
	}
	r.event.timestamp, r.event.time = text, t
}

// payload keeps the sender's own bytes: no number is rounded, no name sorted.
func (r *eventReader) payload(value []byte, depth int) {
	if !r.first(fieldPayload, "payload") {
		return
	}
	switch {
	case value[0] != '{':
		r.fault("payload", "dict_type", "Input should be a valid dictionary")
	case !r.cleanUTF8 && !utf8.Valid(value):
		r.fault("payload", "string_unicode", "Input should be valid UTF-8")
	case depth > sekali.MaxPayloadDepth:
		r.fault("payload", "payload_too_deep", "Payload should nest at most "+strconv.Itoa(sekali.MaxPayloadDepth)+" levels")
	}
	r.event.payload = value
}
