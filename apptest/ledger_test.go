package apptest_test

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// numbered is the event with this number, the same whoever makes it. The number
// stands in the payload, too: there it names what happened, whatever id a
// sender may give it.
func numbered(n int) sekali.Event {
	number := strconv.Itoa(n)
	payload := append(make([]byte, 0, 64), `{"n": `...)
	payload = append(payload, number...)
	payload = append(payload, `, "big": 9007199254740993, "fill": "`...)
	payload = append(payload, fill(n)...)
	payload = append(payload, `"}`...)
	return sekali.Event{
		Topic: "topic-" + strconv.Itoa(n%7), ID: "e-" + number, Source: "apptest", Timestamp: "2025-10-24T10:30:00Z",
		Time: time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC), Payload: payload,
	}
}

// filling makes one event in 256 as large as some of SQLite's pages.
var filling = bytes.Repeat([]byte("sekali "), 2000)

func fill(n int) []byte {
	if n%256 == 0 {
		return filling[:n%97*144]
	}
	return filling[:n%97]
}

// numberOf returns the number in the payload of a numbered event, or -1.
func numberOf(payload []byte) int {
	rest, found := bytes.CutPrefix(payload, []byte(`{"n": `))
	digits, _, ended := bytes.Cut(rest, []byte{','})
	n, err := strconv.Atoi(string(digits))
	if !found || !ended || err != nil {
		return -1
	}
	return n
}

// ledger is what the senders know of the numbered events: which were
// acknowledged and with which seq, which were refused, and of which they know
// nothing because no complete answer came. It holds millions of them.
type ledger struct {
	mu      sync.Mutex
	entries []entry // by number
	acked   int     // entries that were acknowledged
	wrong   mistakes
	sound   *reading // of the store, as far as it was read
}

// entry is what is known of one event.
type entry struct {
	acked   uint32 // its seq, 0 when it was not acknowledged
	sent    bool
	unknown bool // no answer has decided it since an attempt ended without one
	stored  bool // some sender was told that it was new
}

func newLedger() *ledger { return &ledger{sound: new(reading)} }

// take returns the first of n numbers that nobody has used.
func (l *ledger) take(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, make([]entry, n)...)
	return len(l.entries) - n
}

// sending notes that a request with these events is about to leave.
func (l *ledger) sending(numbers ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range numbers {
		l.entries[n].sent = true
	}
}

// ack notes the answers to events; nothing takes an acknowledgement back. An
// event may be new once, and must keep its seq for ever.
func (l *ledger) ack(numbers []int, results []client.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range numbers {
		e, r := &l.entries[n], results[i]
		switch {
		case e.acked != 0 && int64(e.acked) != r.Seq:
			l.wrong.add("event %d was acknowledged with seq %d and later with %d", n, e.acked, r.Seq)
		case e.stored && r.Outcome == sekali.OutcomeStored:
			l.wrong.add("event %d was answered as new twice", n)
		case r.Conflict:
			l.wrong.add("event %d is said to differ from what is stored", n)
		}
		if e.acked == 0 {
			l.acked++
		}
		e.acked, e.unknown, e.stored = uint32(r.Seq), false, e.stored || r.Outcome == sekali.OutcomeStored
	}
}

// lose notes that no complete answer came for these events. The others that
// were sent and not acknowledged were refused.
func (l *ledger) lose(numbers []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range numbers {
		l.entries[n].unknown = l.entries[n].acked == 0
	}
}

// unknown returns the events that may be stored or not.
func (l *ledger) unknown() (numbers []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range l.entries {
		if l.entries[n].unknown {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// resend publishes the unknown events again. Each must become stored or a
// duplicate, whichever the rows say that were read last, and is acknowledged
// then.
func (l *ledger) resend(s *server) {
	s.t.Helper()
	numbers := l.unknown()
	for len(numbers) > 0 {
		some := numbers[:min(500, len(numbers))]
		results := s.publish(numberedAll(some)...)
		for i, n := range some {
			seq := l.sound.seqOf(n)
			if seq == 0 {
				require.Equal(s.t, sekali.OutcomeStored, results[i].Outcome, "event %d", n)
			} else {
				require.Equal(s.t, client.Result{Outcome: sekali.OutcomeDuplicate, Seq: seq}, results[i], "event %d", n)
			}
		}
		l.ack(some, results)
		numbers = numbers[len(some):]
	}
}

func numberedAll(numbers []int) []sekali.Event {
	events := make([]sekali.Event, len(numbers))
	for i, n := range numbers {
		events[i] = numbered(n)
	}
	return events
}

// publishNew stores n new events with s and enters the answers.
func (l *ledger) publishNew(s *server, n int) {
	s.t.Helper()
	first := l.take(n)
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = first + i
	}
	l.sending(numbers...)
	l.ack(numbers, s.publish(numberedAll(numbers)...))
}

// requireSound reads the whole store and requires that it holds what the
// senders know, each event once, and that all counts agree with the rows.
func (l *ledger) requireSound(s *server) {
	s.t.Helper()
	l.sound = new(reading)
	l.requireGrown(s)
}

// requireGrown is requireSound, but reads only the rows that came since.
func (l *ledger) requireGrown(s *server) {
	s.t.Helper()
	wrong := l.compare(s)
	require.Empty(s.t, wrong.texts, "%d mistakes", wrong.count)
}

// compare returns what requireGrown finds wrong.
func (l *ledger) compare(s *server) *mistakes {
	s.t.Helper()
	for row, err := range s.Events(s.t.Context(), client.Query{After: l.sound.last}) {
		require.NoError(s.t, err)
		l.sound.row(l, &row)
	}
	l.sound.end(l)
	stats, sum := s.stats(), s.topicSums()
	l.wrong.equal("unique events counted, and rows", stats.UniqueProcessed, l.sound.rows)
	l.wrong.equal("unique events counted, and those of the topics", stats.UniqueProcessed, sum.Unique)
	l.wrong.equal("duplicates counted, and those of the topics", stats.DuplicateDropped, sum.Duplicates)
	l.wrong.equal("conflicts counted", stats.Conflicts, 0)
	return &l.wrong
}

// reading is what was found in the rows of a store, read in order of seq.
type reading struct {
	last int64    // seq of the last row
	rows int64    // how many there were
	seqs []uint32 // seq by number of the event, 0 when there is no row
}

func (r *reading) seqOf(n int) int64 {
	if n < len(r.seqs) {
		return int64(r.seqs[n])
	}
	return 0
}

// row compares one row with the ledger.
func (r *reading) row(l *ledger, row *sekali.StoredEvent) {
	n := numberOf(row.Payload)
	r.rows++
	if row.Seq <= r.last {
		l.wrong.add("seq %d follows %d", row.Seq, r.last)
	}
	r.last = row.Seq
	if n < 0 || n >= len(l.entries) || !l.entries[n].sent {
		l.wrong.add("%s %s is stored and was never sent", row.Topic, row.ID)
		return
	}
	if e := l.entries[n]; e.acked == 0 && !e.unknown {
		l.wrong.add("event %d is stored and was refused", n)
	}
	if seq := r.seqOf(n); seq != 0 {
		l.wrong.doubled++
		l.wrong.add("event %d is stored twice, at %d and %d", n, seq, row.Seq)
	}
	if want := numbered(n); row.Topic != want.Topic || row.ID != want.ID || !bytes.Equal(row.Payload, want.Payload) {
		l.wrong.add("event %d is not stored as it was sent", n)
	}
	if short := len(l.entries) - len(r.seqs); short > 0 {
		r.seqs = append(r.seqs, make([]uint32, short)...)
	}
	r.seqs[n] = uint32(row.Seq)
}

// end finds what was acknowledged and is not where it should be.
func (r *reading) end(l *ledger) {
	for n := range l.entries {
		if acked := int64(l.entries[n].acked); acked != 0 && acked != r.seqOf(n) {
			l.wrong.add("event %d was acknowledged with seq %d and is at %d", n, acked, r.seqOf(n))
		}
	}
}

// mistakes counts what is wrong and keeps the first descriptions.
type mistakes struct {
	count   int
	doubled int // of them events that are stored twice
	texts   []string
}

func (m *mistakes) add(format string, args ...any) {
	if m.count++; m.count <= 10 {
		m.texts = append(m.texts, fmt.Sprintf(format, args...))
	}
}

func (m *mistakes) equal(what string, a, b int64) {
	if a != b {
		m.add("%s: %d and %d", what, a, b)
	}
}

func requireMistake(t testing.TB, m *mistakes, text string) {
	t.Helper()
	require.NotZero(t, m.count, "nothing was found wrong")
	require.Contains(t, fmt.Sprint(m.texts), text)
}
