package sqlite

import (
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

// The times that the API takes: years 1970 to 2200.
var latestEventTime = time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// nameFault says what the API would refuse in a topic, id or source, or "".
func nameFault(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > sekali.MaxTopicBytes: // ids and sources may be as long
		return "is longer than 255 bytes"
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return "has a control character"
		}
	}
	return ""
}

// rowFault says what the API would refuse in a row, or "".
func rowFault(row *eventRow) string {
	if fault := nameFault(row.id); fault != "" {
		return "the id " + fault
	}
	if fault := nameFault(row.source); fault != "" {
		return "the source " + fault
	}
	if fault := nameFault(row.timestamp); fault != "" || len(row.timestamp) > 64 {
		return "the timestamp is not one"
	}
	if row.eventTime < 0 || row.eventTime >= latestEventTime {
		return "the event time is not in the years 1970 to 2200"
	}
	return payloadFault(row.payload)
}

// payloadFault says what the API would refuse in a payload, or "".
func payloadFault(payload []byte) string {
	switch {
	case len(payload) < 2 || payload[0] != '{':
		return "the payload is not a JSON object"
	case !utf8.Valid(payload):
		return "the payload is not valid UTF-8"
	case !jsontext.Value(payload).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)): // lone surrogates
		return "the payload is not valid JSON"
	case depthOf(payload) > sekali.MaxPayloadDepth:
		return "the payload nests too deep"
	}
	return ""
}

// depthOf returns how deep valid JSON nests.
func depthOf(value []byte) (depth int) {
	level, inString := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			level++
			depth = max(depth, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return depth
}
