package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

var (
	errNoTimestamp = errors.New("neither Timestamp nor Time is set")
	errPayload     = errors.New("the payload is not a JSON object")
)

// AppendEvent appends e as a JSON object of the HTTP API and returns the
// extended buffer. An empty Timestamp is taken from Time, a nil Payload is {}.
// It refuses what would break the framing of a batch or change on its way:
// invalid UTF-8, a payload that is not a JSON object, a missing time; the
// server judges the rest.
func AppendEvent(dst []byte, e *sekali.Event) ([]byte, error) {
	payload, err := payloadOf(e)
	if err != nil {
		return dst, err
	}
	out := dst
	for _, field := range [...]struct{ prefix, value string }{
		{`{"topic":`, e.Topic},
		{`,"event_id":`, e.ID},
		{`,"timestamp":`, timestampOf(e)},
		{`,"source":`, e.Source},
	} {
		out = append(out, field.prefix...)
		if out, err = jsontext.AppendQuote(out, field.value); err != nil {
			return dst, fmt.Errorf("%s: %w", field.prefix[2:len(field.prefix)-2], err)
		}
	}
	out = append(out, `,"payload":`...)
	out = append(out, payload...)
	return append(out, '}'), nil
}

func payloadOf(e *sekali.Event) ([]byte, error) {
	if e.Timestamp == "" && e.Time.IsZero() {
		return nil, errNoTimestamp
	}
	if e.Payload == nil {
		return []byte("{}"), nil
	}
	if !bytes.HasPrefix(bytes.TrimLeft(e.Payload, " \t\r\n"), []byte("{")) || !json.Valid(e.Payload) {
		return nil, errPayload
	}
	return e.Payload, nil
}

func timestampOf(e *sekali.Event) string {
	if e.Timestamp != "" {
		return e.Timestamp
	}
	return e.Time.Format(time.RFC3339Nano)
}
