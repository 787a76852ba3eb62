package apptest_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
	"sekali/internal/prove"
)

// TestFault01ControlTheLedgerFindsWhatIsWrong is the control of every test that
// uses the ledger.
func TestFault01ControlTheLedgerFindsWhatIsWrong(t *testing.T) {
	s := startServer(t, t.TempDir())
	sound := newLedger()
	for range 10 { // one by one, so that event n has seq n+1
		sound.publishNew(s, 1)
	}
	sound.requireSound(s)
	rows := s.rows()

	for name, tc := range map[string]struct {
		rows  []sekali.StoredEvent
		spoil func(l *ledger)
		says  string
	}{
		"an acknowledged event is missing": {rows: slices.Delete(slices.Clone(rows), 4, 5), says: "event 4 was acknowledged with seq 5 and is at 0"},
		"an event is there twice":          {rows: append(slices.Clone(rows), again(rows[3], "e-3")), says: "event 3 is stored twice, at 4 and 11"},
		"an event has a second id":         {rows: append(slices.Clone(rows), again(rows[3], "e-3-b")), says: "event 3 is stored twice"},
		"an event was never sent":          {rows: rows, spoil: func(l *ledger) { l.entries[7] = entry{} }, says: "e-7 is stored and was never sent"},
		"a refused event is there":         {rows: rows, spoil: func(l *ledger) { l.entries[7] = entry{sent: true} }, says: "event 7 is stored and was refused"},
		"an event has moved":               {rows: rows, spoil: func(l *ledger) { l.entries[2].acked = 99 }, says: "was acknowledged with seq 99 and is at 3"},
		"an event has another payload":     {rows: append(slices.Clone(rows[:9]), again(rows[9], "e-1")), says: "event 9 is not stored as it was sent"},
		"an acknowledgement was made up":   {rows: rows, spoil: func(l *ledger) { l.entries[l.take(1)] = entry{sent: true, acked: 11} }, says: "event 10 was acknowledged"},
		"an event was new for two senders": {rows: rows, spoil: func(l *ledger) {
			l.ack([]int{2}, []client.Result{{Outcome: sekali.OutcomeStored, Seq: 3}})
		}, says: "event 2 was answered as new twice"},
		"an event has two places": {rows: rows, spoil: func(l *ledger) {
			l.ack([]int{2}, []client.Result{{Outcome: sekali.OutcomeDuplicate, Seq: 4}})
		}, says: "event 2 was acknowledged with seq 3 and later with 4"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.entries, tc.rows = slices.Clone(sound.entries), slices.Clone(tc.rows)
			if tc.spoil != nil {
				tc.spoil(l)
			}
			for i := range tc.rows {
				l.sound.row(l, &tc.rows[i])
			}
			l.sound.end(l)
			requireMistake(t, &l.wrong, tc.says)
		})
	}
	prove.Report(t, prove.Result{Row: 1, Control: true, Figures: []prove.Figure{{Name: "kinds of mistakes that were found", Value: 10}}})
}

// again is a second row with the content of another.
func again(row sekali.StoredEvent, id string) sekali.StoredEvent {
	row.ID, row.Seq = id, 11
	return row
}

func TestTheNumberOfAnEventIsReadFromItsPayload(t *testing.T) {
	for _, n := range []int{0, 7, 32, 123_456_789} {
		require.Equal(t, n, numberOf(numbered(n).Payload))
	}
	for _, other := range []string{"", "{}", `{"n": `, `{"n": 5}`, `{"n": x,`} {
		require.Equal(t, -1, numberOf([]byte(other)), other)
	}
}
