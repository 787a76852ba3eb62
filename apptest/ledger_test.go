package apptest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
)

// identity is what makes an event unique.
type identity struct{ topic, id string }

// ledger is what the senders know: of each event sent, whether it was
// acknowledged, and with which seq; whether it was refused; or neither.
type ledger struct {
	mu      sync.Mutex
	acked   map[identity]int64
	unknown map[identity]bool
	refused map[identity]bool
}

func newLedger() *ledger {
	return &ledger{acked: make(map[identity]int64), unknown: make(map[identity]bool), refused: make(map[identity]bool)}
}

// ack notes an acknowledgement; nothing takes it back.
func (l *ledger) ack(e *sekali.Event, seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := identity{e.Topic, e.ID}
	delete(l.unknown, i)
	delete(l.refused, i)
	l.acked[i] = seq
}

// lose notes that no complete answer came.
func (l *ledger) lose(e *sekali.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := (identity{e.Topic, e.ID}); l.acked[i] == 0 {
		delete(l.refused, i)
		l.unknown[i] = true
	}
}

// refuse notes that the server took nothing; what may have been stored by an
// earlier attempt stays unknown.
func (l *ledger) refuse(e *sekali.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := (identity{e.Topic, e.ID}); l.acked[i] == 0 && !l.unknown[i] {
		l.refused[i] = true
	}
}

// check compares the ledger with what the store holds and returns what is
// wrong, nothing when all is well.
func (l *ledger) check(rows []sekali.StoredEvent) (wrong []string) {
	seqs := make(map[identity]int64)
	last := int64(0)
	for _, r := range rows {
		i := identity{r.Topic, r.ID}
		if seqs[i] != 0 {
			wrong = append(wrong, fmt.Sprintf("%v is stored twice", i))
		}
		if _, sent := l.acked[i]; !sent && !l.unknown[i] {
			wrong = append(wrong, fmt.Sprintf("%v is stored and was never sent, or was refused", i))
		}
		if r.Seq <= last {
			wrong = append(wrong, fmt.Sprintf("seq %d follows %d", r.Seq, last))
		}
		if want := event(r.Topic, r.ID); string(r.Payload) != string(want.Payload) {
			wrong = append(wrong, fmt.Sprintf("%v has another payload", i))
		}
		seqs[i], last = r.Seq, r.Seq
	}
	for i, seq := range l.acked {
		if seqs[i] != seq {
			wrong = append(wrong, fmt.Sprintf("%v was acknowledged with seq %d and is at %d", i, seq, seqs[i]))
		}
	}
	return wrong
}

// requireSound checks the ledger, the counts against the rows, and the counts
// of the topics against the sums.
func (l *ledger) requireSound(s *server) {
	s.t.Helper()
	rows := s.rows()
	wrong := l.check(rows)
	require.Empty(s.t, wrong[:min(10, len(wrong))], "%d mistakes", len(wrong))
	stats, sum := s.stats(), s.topicSums()
	require.EqualValues(s.t, len(rows), stats.UniqueProcessed, "unique count = rows")
	require.Equal(s.t, stats.UniqueProcessed, sum.Unique)
	require.Equal(s.t, stats.DuplicateDropped, sum.Duplicates)
	require.Zero(s.t, stats.Conflicts)
}

// resend publishes the unknown events again. Each must become stored or a
// duplicate, whichever the store's rows say, and is acknowledged then.
func (l *ledger) resend(s *server) {
	s.t.Helper()
	stored := make(map[identity]int64)
	for _, r := range s.rows() {
		stored[identity{r.Topic, r.ID}] = r.Seq
	}
	var events []sekali.Event
	for i := range maps.Keys(l.unknown) {
		events = append(events, event(i.topic, i.id))
	}
	for n, r := range s.publish(events...) {
		seq, was := stored[identity{events[n].Topic, events[n].ID}]
		if was {
			require.Equal(s.t, sekali.OutcomeDuplicate, r.Outcome)
			require.Equal(s.t, seq, r.Seq)
		} else {
			require.Equal(s.t, sekali.OutcomeStored, r.Outcome)
		}
		require.False(s.t, r.Conflict)
		l.ack(&events[n], r.Seq)
	}
	require.Empty(s.t, l.unknown)
}

// TestTheLedgerFindsWhatIsWrong is the control of every test that uses it.
func TestTheLedgerFindsWhatIsWrong(t *testing.T) {
	s := startServer(t, t.TempDir())
	sound := newLedger()
	var sent []sekali.Event
	for i := range 10 {
		sent = append(sent, event("t", fmt.Sprint(i)))
	}
	for i, r := range s.publish(sent...) {
		sound.ack(&sent[i], r.Seq)
	}
	rows := s.rows()
	require.Empty(t, sound.check(rows))
	sound.requireSound(s)

	for name, tc := range map[string]struct {
		rows  []sekali.StoredEvent
		spoil func(l *ledger)
		says  string
	}{
		"an acknowledged event is missing": {rows: slices.Delete(slices.Clone(rows), 4, 5), says: "{t 4} was acknowledged with seq 5 and is at 0"},
		"an event is there twice":          {rows: append(slices.Clone(rows), rows[3]), says: "{t 3} is stored twice"},
		"an event was never sent":          {rows: rows, spoil: func(l *ledger) { delete(l.acked, identity{"t", "7"}) }, says: "{t 7} is stored and was never sent"},
		"a refused event is there": {rows: rows, spoil: func(l *ledger) {
			delete(l.acked, identity{"t", "7"})
			l.refused[identity{"t", "7"}] = true
		}, says: "or was refused"},
		"an event has moved":             {rows: rows, spoil: func(l *ledger) { l.acked[identity{"t", "2"}] = 99 }, says: "was acknowledged with seq 99 and is at 3"},
		"an acknowledgement was made up": {rows: rows, spoil: func(l *ledger) { l.acked[identity{"t", "none"}] = 11 }, says: "{t none} was acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			maps.Copy(l.acked, sound.acked)
			if tc.spoil != nil {
				tc.spoil(l)
			}
			require.Contains(t, strings.Join(l.check(tc.rows), "\n"), tc.says)
		})
	}
}
