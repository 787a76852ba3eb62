package loadtest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest"
)

// ledgerOf runs against the server and returns what it acknowledged.
func ledgerOf(t *testing.T, url string) string {
	t.Helper()
	var ledger bytes.Buffer
	o := small(url)
	o.Ledger = &ledger
	require.True(t, mustRun(t, o).OK())
	return ledger.String()
}

func verifyLedger(t *testing.T, url, lines string) *loadtest.VerifyReport {
	t.Helper()
	ledger, err := loadtest.ReadLedger(strings.NewReader(lines))
	require.NoError(t, err)
	report, err := loadtest.Verify(t.Context(), ledger, loadtest.VerifyOptions{URL: url})
	require.NoError(t, err)
	return report
}

func TestALedgerHoldsEveryAcknowledgementAndVerifies(t *testing.T) {
	_, url := newFakeServer(t)
	lines := ledgerOf(t, url)
	require.Equal(t, 600, strings.Count(lines, "\n"))
	second := ledgerOf(t, url)
	r := verifyLedger(t, url, lines+second)
	require.True(t, r.OK(), r.Problems.Listed)
	require.EqualValues(t, 600, r.Acknowledged)
	require.EqualValues(t, 600, r.Found)
	require.EqualValues(t, 1200, r.Lines)
	require.Equal(t, 6, r.Topics)
	require.Zero(t, r.Others)
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.Contains(t, text.String(), "OK: each acknowledged event is stored exactly once")
}

func TestVerifyFindsWhatIsNotAsItWasAcknowledged(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*fakeServer)
		want  string
	}{
		"a lost event": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent { return all[1:] }
		}, "is not there"},
		"another seq": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent { all[0].Seq += 10_000; return all }
		}, "is stored with seq"},
		"an event twice": {func(f *fakeServer) {
			f.list = func(all []storedEvent) []storedEvent { return append(all, all[0]) }
		}, "stored twice"},
		"wrong counts": {func(f *fakeServer) {
			f.count = func(c *counts) { c.Unique++ }
		}, "but counts"},
	} {
		t.Run(name, func(t *testing.T) {
			f, url := newFakeServer(t)
			lines := ledgerOf(t, url)
			c.plant(f)
			r := verifyLedger(t, url, lines)
			require.False(t, r.OK())
			require.Contains(t, strings.Join(r.Problems.Listed, "\n"), c.want)
			var text bytes.Buffer
			require.NoError(t, r.WriteText(&text))
			require.Contains(t, text.String(), "FAILED")
		})
	}
}

func TestEventsWithoutAnAcknowledgementAreNoProblem(t *testing.T) {
	_, url := newFakeServer(t)
	lines := strings.SplitAfter(ledgerOf(t, url), "\n")
	r := verifyLedger(t, url, lines[0])
	require.True(t, r.OK())
	require.EqualValues(t, 1, r.Found)
	require.Positive(t, r.Others)
}

func TestATornLastLineIsNotCounted(t *testing.T) {
	_, url := newFakeServer(t)
	lines := ledgerOf(t, url)
	r := verifyLedger(t, url, lines[:len(lines)-1])
	require.True(t, r.OK())
	require.True(t, r.Torn)
	require.EqualValues(t, 599, r.Lines)
}

func TestALedgerThatContradictsItselfIsAProblem(t *testing.T) {
	_, url := newFakeServer(t)
	r := verifyLedger(t, url, "a\tx\t1\na\tx\t2\n")
	require.Contains(t, r.Problems.Listed[0], "seq 1 and with seq 2")
}

func TestALineThatIsNoLedgerLineIsAnError(t *testing.T) {
	for _, line := range []string{"a\tb\n", "a\tb\tc\n", "a\tb\t0\n", "\n", "a\tb\t1\t2\n"} {
		_, err := loadtest.ReadLedger(strings.NewReader("t\ti\t1\n" + line))
		require.ErrorContains(t, err, "line 2")
	}
}

func FuzzReadLedger(f *testing.F) {
	f.Add("a\tb\t1\n")
	f.Add("a\tb\t1\na\tb\t2\nc")
	f.Add("\t\t9223372036854775808\n")
	f.Fuzz(func(t *testing.T, lines string) {
		ledger, err := loadtest.ReadLedger(strings.NewReader(lines))
		require.Equal(t, err == nil, ledger != nil)
	})
}
