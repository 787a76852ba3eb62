package httpserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
	"sekali/internal/values"
)

func battery(t testing.TB) []*values.Value {
	t.Helper()
	list, err := values.Battery()
	require.NoError(t, err)
	return list
}

// TestFault11ValueBattery sends each value to a server with its real store. What
// is taken has to be a duplicate when it is sent again, and to come back as it
// was sent after a restart; what is refused has to leave no trace.
func TestFault11ValueBattery(t *testing.T) {
	n := start(t, setup{})
	list := battery(t)
	var taken []*values.Value
	var stored, duplicates, refusals int64
	var faults []error
	for _, v := range list {
		out := n.sendValue(v.Body())
		if err := v.Verify(out); err != nil {
			faults = append(faults, err)
			continue
		}
		stored, duplicates = stored+int64(out.Stored), duplicates+int64(out.Duplicates)
		switch {
		case !v.Accepted():
			refusals++
			continue
		case v.Pair:
			again := n.sendValue(v.Swapped().Body())
			require.Equal(t, v.Same, again.Duplicates == 1, "battery.txt:%d: %+v", v.Line, again)
			stored, duplicates = stored+int64(again.Stored), duplicates+int64(again.Duplicates)
		}
		again := n.sendValue(v.Body())
		require.Equal(t, values.Outcome{Duplicates: v.Stored + v.Duplicates}, again, "battery.txt:%d is sent again", v.Line)
		duplicates += int64(again.Duplicates)
		taken = append(taken, v)
	}
	require.NoError(t, errors.Join(faults...))
	n.requireCounts(stored, duplicates)
	n.restart()
	n.requireCounts(stored, duplicates)
	for _, v := range taken {
		require.NoError(t, n.readValue(v))
	}
	prove.Report(t, prove.Result{Row: 11, Figures: []prove.Figure{
		{Name: "values", Value: float64(len(list))},
		{Name: "refused", Value: float64(refusals)},
		{Name: "events stored", Value: float64(stored)},
		{Name: "duplicates", Value: float64(duplicates)},
	}})
}

// sendValue publishes a body and says what became of it.
func (n *node) sendValue(body string) values.Outcome {
	n.t.Helper()
	a := n.do("POST", "/publish", body, "Content-Type: application/json")
	if a.status == http.StatusOK {
		p := as[published](n.t, a)
		for _, r := range p.Results {
			require.False(n.t, r.Conflict, "%s", a.body)
		}
		return values.Outcome{Stored: p.Stored, Duplicates: p.Duplicates}
	}
	r := as[refusal](n.t, a)
	out := values.Outcome{Status: a.status, Type: r.Code}
	var list []problem
	if a.status == http.StatusUnprocessableEntity && json.Unmarshal(r.Detail, &list) == nil && len(list) > 0 {
		out.Type, out.Loc = list[0].Type, list[0].at()
	}
	return out
}

// rawStored is an event as it came back, each member in its bytes.
type rawStored struct {
	Topic     json.RawMessage `json:"topic"`
	EventID   json.RawMessage `json:"event_id"`
	Timestamp json.RawMessage `json:"timestamp"`
	Source    json.RawMessage `json:"source"`
	Payload   json.RawMessage `json:"payload"`
}

// readValue reads the event of a value by its name, in a list by its filters,
// and returns what is not as it was sent.
func (n *node) readValue(v *values.Value) error {
	if v.Field == "body" {
		return nil // counted
	}
	topic, id, source := text(v.Member("topic")), text(v.Member("event_id")), text(v.Member("source"))
	one := n.do("GET", "/topics/"+escapeAll(topic)+"/events/"+escapeAll(id), "")
	if one.status != http.StatusOK {
		return fmt.Errorf("battery.txt:%d: it is not found: %s", v.Line, one.body)
	}
	filter := url.Values{"topic": {topic}, "event_id": {id}, "source": {source}}
	if !v.Instant.IsZero() {
		instant := v.Instant.Format(time.RFC3339Nano)
		filter["since"], filter["until"] = []string{instant}, []string{instant}
	}
	list := n.do("GET", "/events?"+filter.Encode(), "")
	var events []rawStored
	if json.Unmarshal(list.body, &events) != nil || len(events) != 1 {
		return fmt.Errorf("battery.txt:%d: the list is %.300s", v.Line, list.body)
	}
	var single rawStored
	if err := json.Unmarshal(one.body, &single); err != nil {
		return err
	}
	return errors.Join(comesBack(v, &single), comesBack(v, &events[0]))
}

// comesBack compares strings by what they say, and the payload by its bytes.
func comesBack(v *values.Value, got *rawStored) error {
	for field, raw := range map[string]json.RawMessage{
		"topic": got.Topic, "event_id": got.EventID, "timestamp": got.Timestamp, "source": got.Source,
	} {
		if text(string(raw)) != text(v.Member(field)) {
			return fmt.Errorf("battery.txt:%d: the %s came back as %.200s", v.Line, field, raw)
		}
	}
	if string(got.Payload) != v.Member("payload") {
		return fmt.Errorf("battery.txt:%d: the payload came back as %.200s", v.Line, got.Payload)
	}
	return nil
}

// text is what a JSON string says. The tests trust encoding/json here: the
// strings that it would fold are not taken.
func text(quoted string) (s string) {
	if json.Unmarshal([]byte(quoted), &s) != nil {
		return "not a string: " + quoted
	}
	return s
}

// TestFault11ControlValueBattery plants wrong expectations, which the battery
// has to notice, and judges the values as a server would that reads them with
// encoding/json and package time: it has to fail.
func TestFault11ControlValueBattery(t *testing.T) {
	n := start(t, setup{})
	for _, spoil := range []func(*values.Value){
		func(v *values.Value) { v.Stored++ },
		func(v *values.Value) { v.Duplicates++ },
		func(v *values.Value) { v.Status, v.Type = http.StatusBadRequest, "malformed" },
	} {
		wrong := *battery(t)[0]
		spoil(&wrong)
		require.Error(t, wrong.Verify(n.sendValue(wrong.Body())))
	}
	changed := *battery(t)[0]
	require.NoError(t, n.readValue(&changed))
	for _, payload := range []string{`{ }`, `{"a":1}`} {
		other := values.Value{Line: changed.Line, Field: "payload", Raw: payload}
		require.Error(t, n.readValue(&other), "another payload was sent")
	}

	naive, wrong := naiveServer{}, map[string]int{}
	for _, v := range battery(t) {
		if err := v.Verify(naive.publish(v.Body())); err != nil {
			wrong[v.Field]++
		}
		if v.Pair && (naive.publish(v.Swapped().Body()).Duplicates == 1) != v.Same {
			wrong["pair"]++
		}
	}
	t.Logf("wrong with encoding/json and package time: %v", wrong)
	for _, field := range []string{"event_id", "topic", "source", "timestamp", "payload", "body"} {
		require.Positive(t, wrong[field], "%s", field)
	}
}

// naiveServer remembers ids, and reads events as most servers in Go would.
type naiveServer map[[2]string]bool

func (s naiveServer) publish(body string) (out values.Outcome) {
	var events []naiveEvent
	var envelope struct{ Events []naiveEvent }
	var one naiveEvent
	switch {
	case json.Unmarshal([]byte(body), &events) == nil:
	case json.Unmarshal([]byte(body), &envelope) == nil && envelope.Events != nil:
		events = envelope.Events
	case json.Unmarshal([]byte(body), &one) == nil:
		events = []naiveEvent{one}
	case json.Valid([]byte(body)):
		return values.Outcome{Status: http.StatusUnprocessableEntity}
	default:
		return values.Outcome{Status: http.StatusBadRequest, Type: "malformed"}
	}
	for _, e := range events {
		if field, typ := e.fault(); field != "" {
			return values.Outcome{Status: http.StatusUnprocessableEntity, Type: typ, Loc: "body." + field}
		}
		if key := [2]string{e.Topic, e.ID}; s[key] {
			out.Duplicates++
		} else {
			s[key] = true
			out.Stored++
		}
	}
	return out
}

type naiveEvent struct {
	Topic     string         `json:"topic"`
	ID        string         `json:"event_id"`
	Timestamp string         `json:"timestamp"`
	Source    string         `json:"source"`
	Payload   map[string]any `json:"payload"`
}

func (e *naiveEvent) fault() (field, typ string) {
	for field, value := range map[string]string{"topic": e.Topic, "event_id": e.ID, "source": e.Source} {
		switch {
		case value == "":
			return field, "string_too_short"
		case len(value) > 255:
			return field, "string_too_long"
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return field, "string_control_character"
		}
	}
	if _, err := time.Parse(time.RFC3339, e.Timestamp); err != nil {
		return "timestamp", "datetime_parsing"
	}
	if e.Payload == nil {
		return "payload", "missing"
	}
	return "", ""
}
