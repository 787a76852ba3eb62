package events

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Topics are the topics of the events, each with about as many of them.
var Topics = [...]string{
	"order.created", "order.changed", "payment.settled", "payment.refused", "parcel.sent",
	"parcel.arrived", "user.signed-up", "user.deleted", "sensor.reading", "invoice.issued",
}

// Event is one event. The strings of a Batch share its memory.
type Event struct {
	Number                                uint32 // 0 is the first; a repeat has the number of its original
	Topic, ID, Source, Timestamp, Payload string
	JSON                                  string // the whole event as Sekali takes it
}

// Maker makes events from their numbers.
type Maker struct {
	block cipher.Block
}

// NewMaker returns the maker of a seed's events.
func NewMaker(seed uint64) *Maker {
	key := make([]byte, 16)
	binary.LittleEndian.PutUint64(key, seed)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: " + err.Error()) // The length of the key is right.
	}
	return &Maker{block: block}
}

var firstMoment = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	idBytes   = 2 * aes.BlockSize
	timestamp = "2006-01-02T15:04:05.000Z"
	letters   = "abcdefghijklmnopqrstuvwxyz      "
	noteBytes = 72
)

// layout says where the parts of an event lie in a buffer.
type layout struct {
	topic                                      string
	start, id, timestamp, source, payload, end int
}

const sourceBytes = len("device-0000")

// append renders an event as JSON. All of it follows from the number.
func (m *Maker) append(dst []byte, number uint32) ([]byte, layout) {
	var plain, random, more [aes.BlockSize]byte
	binary.LittleEndian.PutUint32(plain[:], number)
	m.block.Encrypt(random[:], plain[:])
	m.block.Encrypt(more[:], random[:])

	at := layout{topic: Topics[int(binary.LittleEndian.Uint16(more[:]))%len(Topics)], start: len(dst)}
	dst = append(dst, `{"topic":"`...)
	dst = append(dst, at.topic...)
	dst = append(dst, `","event_id":"`...)
	at.id = len(dst)
	dst = hex.AppendEncode(dst, random[:])
	dst = append(dst, `","timestamp":"`...)
	at.timestamp = len(dst)
	dst = firstMoment.Add(time.Duration(number)*time.Millisecond).AppendFormat(dst, timestamp)
	dst = append(dst, `","source":"device-`...)
	at.source = len(dst) - len("device-")
	dst = appendPadded(dst, uint64(more[2])+uint64(more[3])<<8, 10_000)
	dst = append(dst, `","payload":`...)
	at.payload = len(dst)
	dst = appendPayload(dst, number, &more)
	at.end = len(dst)
	return append(dst, '}'), at
}

func appendPayload(dst []byte, number uint32, random *[aes.BlockSize]byte) []byte {
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendUint(dst, uint64(number), 10)
	dst = append(dst, `,"amount":`...)
	dst = appendPadded(dst, binary.LittleEndian.Uint64(random[:])>>40, 1000)
	dst = append(dst, `.5,"ok":true,"note":"`...)
	state := binary.LittleEndian.Uint64(random[8:])
	for range noteBytes {
		state = state*6364136223846793005 + 1442695040888963407
		dst = append(dst, letters[state>>59])
	}
	return append(dst, `"}`...)
}

// appendPadded appends n modulo limit, a power of ten, with zeros in front but
// for JSON's sake with a first digit that is none.
func appendPadded(dst []byte, n, limit uint64) []byte {
	return strconv.AppendUint(dst, limit/10+n%(limit-limit/10), 10)
}

// event cuts the parts out of a rendered text.
func (at layout) event(number uint32, text string) Event {
	return Event{
		Number:    number,
		Topic:     at.topic,
		ID:        text[at.id : at.id+idBytes],
		Timestamp: text[at.timestamp : at.timestamp+len(timestamp)],
		Source:    text[at.source : at.source+sourceBytes],
		Payload:   text[at.payload:at.end],
		JSON:      text[at.start : at.end+1],
	}
}

// Event makes one event.
func (m *Maker) Event(number uint32) Event {
	buf, at := m.append(nil, number)
	return at.event(number, string(buf))
}

// Parse reads an event from its JSON. Its Number stays 0: a Maker knows it.
func Parse(text []byte) (Event, error) {
	var e struct {
		Topic, Source, Timestamp string

		ID      string `json:"event_id"`
		Payload json.RawMessage
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return Event{}, fmt.Errorf("not an event: %w: %q", err, text)
	}
	return Event{Topic: e.Topic, ID: e.ID, Source: e.Source, Timestamp: e.Timestamp, Payload: string(e.Payload), JSON: string(text)}, nil
}

// Number tells which event has an id; false when none of this seed has it.
func (m *Maker) Number(id string) (uint32, bool) {
	var plain, random [aes.BlockSize]byte
	if len(id) != idBytes {
		return 0, false
	}
	if _, err := hex.Decode(random[:], []byte(id)); err != nil {
		return 0, false
	}
	m.block.Decrypt(plain[:], random[:])
	number := binary.LittleEndian.Uint32(plain[:])
	for _, rest := range plain[4:] {
		if rest != 0 {
			return 0, false
		}
	}
	return number, true
}
