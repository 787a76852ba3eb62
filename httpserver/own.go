package httpserver

import (
	"bytes"
	"strings"
	"time"

	"sekali"
)

// foundEvent is a valid event that still lies in the request's memory.
type foundEvent struct {
	topic, id, source, timestamp, payload []byte
	time                                  time.Time
}

// own copies events out of the request's memory: all strings of a request
// into one piece, all payloads into another. A topic or source that is that of
// the event before is not copied again.
func own(found []foundEvent) []sekali.Event {
	if len(found) == 0 {
		return nil
	}
	textBytes, payloadBytes := 0, 0
	for i := range found {
		f := &found[i]
		textBytes += len(f.topic) + len(f.id) + len(f.source) + len(f.timestamp)
		payloadBytes += len(f.payload)
		if i > 0 {
			textBytes -= shared(f.topic, found[i-1].topic) + shared(f.source, found[i-1].source)
		}
	}
	var texts strings.Builder
	texts.Grow(textBytes)
	payloads := make([]byte, 0, payloadBytes)
	events := make([]sekali.Event, len(found))
	before := &sekali.Event{}
	for i := range found {
		f, e := &found[i], &events[i]
		e.Topic, e.Source = ownText(&texts, f.topic, before.Topic), ownText(&texts, f.source, before.Source)
		e.ID, e.Timestamp, e.Time = ownText(&texts, f.id, ""), ownText(&texts, f.timestamp, ""), f.time
		at := len(payloads)
		payloads = append(payloads, f.payload...)
		e.Payload = payloads[at:len(payloads):len(payloads)]
		before = e
	}
	return events
}

// shared returns how many bytes a text shares with the one before.
func shared(text, before []byte) int {
	if bytes.Equal(text, before) {
		return len(text)
	}
	return 0
}

// ownText returns a copy of text in the builder's memory, or the string before
// when it is the same.
func ownText(into *strings.Builder, text []byte, before string) string {
	if string(text) == before {
		return before
	}
	at := into.Len()
	into.Write(text)
	return into.String()[at:]
}
