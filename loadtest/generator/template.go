package generator

import (
	"strings"
)

// The parts of an event between its fixed-width slots. With a payload of 140
// bytes an event has 281 on the wire. Content other than the number is the same
// for all events of all runs, so that a repeat is never a conflict.
const (
	beforePrefix = `{"topic":"`
	beforeTopic  = `.`
	beforeID     = `","event_id":"`
	beforeNumber = `","timestamp":"2025-10-24T10:30:00Z","source":"loadtest","payload":`
	payloadHead  = `{"n":"`
	afterNumber  = `","data":"`
	payloadTail  = `"}`

	topicDigits  = 3
	numberDigits = 12
	payloadBytes = 140

	prefixAt = len(beforePrefix)
	keyAt    = prefixAt + len(wholePrefix)
	topicAt  = keyAt + keyDigits + len(beforeTopic)
	idAt     = topicAt + topicDigits + len(beforeID)
	numberAt = idAt + idDigits + len(beforeNumber) + len(payloadHead)
	dataSize = payloadBytes - len(payloadHead) - numberDigits - len(afterNumber) - len(payloadTail)
)

// data fills the payloads with text that does not compress well.
var data = func() string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	b := make([]byte, dataSize)
	for i := range b {
		b[i] = alphabet[scramble(uint64(i))&63]
	}
	return string(b)
}()

// blankEvent is an event whose slots hold zeros.
var blankEvent = beforePrefix + wholePrefix + strings.Repeat("0", keyDigits) + beforeTopic + strings.Repeat("0", topicDigits) +
	beforeID + strings.Repeat("0", idDigits) + beforeNumber + payloadHead + strings.Repeat("0", numberDigits) +
	afterNumber + data + payloadTail + "}"

// EventBytes is the size of an event on the wire.
var EventBytes = len(blankEvent)

// template is a whole publish request, head and body, of which only the slots
// of the events change.
type template struct {
	bytes  []byte
	events int
	body   int // offset of the body
	first  int // offset of the first event
}

// newTemplate builds the request for a number of events; one goes as a plain
// object, more as an array.
func newTemplate(t Target, events int) *template {
	body := blankEvent
	first := 0
	if events > 1 {
		body, first = "["+strings.Repeat(blankEvent+",", events-1)+blankEvent+"]", 1
	}
	head := t.head("POST", "/publish", len(body))
	return &template{bytes: append(head, body...), events: events, body: len(head), first: len(head) + first}
}

// put writes event n of a run into position i.
func (t *template) put(i int, r Run, n uint64) {
	at := t.first + i*(len(blankEvent)+1)
	e := t.bytes[at : at+len(blankEvent)]
	copy(e[prefixAt:keyAt], r.prefix())
	putHex(e[keyAt:keyAt+keyDigits], r.Key)
	putDecimal(e[topicAt:topicAt+topicDigits], n%uint64(r.Topics))
	r.putID(e[idAt:idAt+idDigits], n)
	putDecimal(e[numberAt:numberAt+numberDigits], n)
}

// Payload returns the payload of event n of any run, as it is sent.
func Payload(n uint64) []byte {
	b := []byte(payloadHead + strings.Repeat("0", numberDigits) + afterNumber + data + payloadTail)
	putDecimal(b[len(payloadHead):len(payloadHead)+numberDigits], n)
	return b
}

func putHex(dst []byte, x uint32) {
	const digits = "0123456789abcdef"
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = digits[x&15]
		x >>= 4
	}
}

func putDecimal(dst []byte, x uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + x%10)
		x /= 10
	}
}
