package httpserver_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAMinimalAnswerLeavesTheResultsOut(t *testing.T) {
	n := start(t, setup{})
	a := n.do("POST", "/publish", encode(t, newEvents("a", "1", "1")), "Prefer: return=minimal")
	require.JSONEq(t, `{"status":"ok","accepted":2,"stored":1,"duplicates":1}`, string(a.body))
	require.Equal(t, "return=minimal", a.header.Get("Preference-Applied"))
}

func TestLenientHandlingTakesTheValidEvents(t *testing.T) {
	n := start(t, setup{})
	batch := newEvents("a", "1", "", "1", "2", "")
	batch[4].Topic = ""
	a := n.do("POST", "/publish", encode(t, batch), "Prefer: handling=lenient")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "handling=lenient", a.header.Get("Preference-Applied"))
	p := as[published](t, a)
	require.Equal(t, 3, p.Accepted)
	require.Equal(t, 2, p.Stored)
	require.Equal(t, 1, p.Duplicates)
	require.Equal(t, 2, *p.Invalid)
	require.Len(t, p.Results, 5)
	require.Equal(t, result{Outcome: "stored", Seq: 1}, p.Results[0])
	require.Equal(t, result{Outcome: "duplicate", Seq: 1}, p.Results[2])
	require.Equal(t, result{Outcome: "stored", Seq: 2}, p.Results[3])
	require.Equal(t, "invalid", p.Results[1].Outcome)
	require.Equal(t, "body.1.event_id", p.Results[1].Detail[0].at())
	require.Equal(t, "invalid", p.Results[4].Outcome)
	require.Len(t, p.Results[4].Detail, 2)
	n.requireCounts(2, 1)
}

func TestLenientHandlingOfASingleEvent(t *testing.T) {
	n := start(t, setup{})
	p := n.publish(newEvent("", "1"), "Prefer: handling=lenient")
	require.Zero(t, p.Accepted)
	require.Equal(t, 1, *p.Invalid)
	require.Equal(t, "body.topic", p.Results[0].Detail[0].at())
	n.requireUntouched()
}

func TestLenientHandlingDoesNotTakeABodyThatIsOfNoUse(t *testing.T) {
	n := start(t, setup{})
	refused(t, n.do("POST", "/publish", `[`, "Prefer: handling=lenient"), http.StatusBadRequest, "malformed")
	problems(t, n.do("POST", "/publish", `{"events":5}`, "Prefer: handling=lenient"), "invalid_event")
	problems(t, n.do("POST", "/publish", `7`, "Prefer: handling=lenient"), "invalid_event")
}

// TestAManyTimesFaultyBatchIsToldWithFewWords: beyond a thousand faults each
// event has one, and the others are counted.
func TestAManyTimesFaultyBatchIsToldWithFewWords(t *testing.T) {
	n := start(t, setup{})
	faulty := "[" + strings.TrimSuffix(strings.Repeat("{},", 3000), ",") + "]"
	p := as[published](t, n.do("POST", "/publish", faulty, "Prefer: handling=lenient"))
	require.Equal(t, 3000, *p.Invalid)
	require.Len(t, p.Results[199].Detail, 5)
	require.Len(t, p.Results[200].Detail, 1)
	require.Len(t, p.Results[2999].Detail, 1)
	refusal := n.do("POST", "/publish", faulty)
	require.Equal(t, http.StatusUnprocessableEntity, refusal.status)
	require.Contains(t, string(refusal.body), strconv.Itoa(5*3000-100)+" more faults are not listed")
}

// TestLargeAnswersToPublishersTakeNoMoreThanTheirLimit has a small body bring
// about one that is thirty times as large: what is not read in time is
// bounded, nothing is stored that could not be answered, and all is given back.
func TestLargeAnswersToPublishersTakeNoMoreThanTheirLimit(t *testing.T) {
	faulty := "[" + strings.Repeat("{},", 9000) + encode(t, newEvent("a", "1")) + "]"
	s := setup{}
	s.http.MaxInFlightAnswerBytes = 1 << 20
	n := start(t, s)
	refused(t, n.do("POST", "/publish", faulty, "Prefer: handling=lenient"), http.StatusServiceUnavailable, "overloaded")
	n.requireUntouched()
	minimal := n.do("POST", "/publish", faulty, "Prefer: handling=lenient, return=minimal")
	require.Equal(t, http.StatusOK, minimal.status)

	s.http.MaxInFlightAnswerBytes = 4 << 20
	n = start(t, s)
	p := as[published](t, n.do("POST", "/publish", faulty, "Prefer: handling=lenient"))
	require.Equal(t, 1, p.Stored)
	require.Len(t, p.Results, 9001)
	require.Eventually(t, func() bool { return n.server.InFlightAnswers() == 0 }, time.Minute, time.Millisecond)
	refused(t, n.do("POST", "/publish", "["+strings.Repeat("{},", 3000)), http.StatusBadRequest, "malformed")
	require.Zero(t, n.server.InFlightAnswers())
}

func TestPreferencesAreReadAsRFC7240WritesThem(t *testing.T) {
	tests := []struct {
		name    string
		headers []string
		applied string
	}{
		{"none", nil, ""},
		{"both in one line", []string{"Prefer: return=minimal, handling=lenient"}, "return=minimal, handling=lenient"},
		{"both in two lines", []string{"Prefer: handling=lenient", "Prefer: return=minimal"}, "return=minimal, handling=lenient"},
		{"other letters and blanks", []string{"Prefer: Return = Minimal"}, "return=minimal"},
		{"a quoted value", []string{`Prefer: return="minimal"`}, "return=minimal"},
		{"a parameter", []string{"Prefer: handling=lenient; level=1"}, "handling=lenient"},
		{"what we do not know is ignored", []string{"Prefer: respond-async, wait=10, return=minimal"}, "return=minimal"},
		{"the defaults by name", []string{"Prefer: return=representation, handling=strict"}, ""},
		{"nonsense", []string{"Prefer: ,,;=\"", "Prefer: minimal"}, ""},
	}
	n := start(t, setup{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := n.on(t)
			a := n.do("POST", "/publish", encode(t, newEvent("a", "1")), tt.headers...)
			require.Equal(t, http.StatusOK, a.status)
			require.Equal(t, tt.applied, a.header.Get("Preference-Applied"))
		})
	}
}
