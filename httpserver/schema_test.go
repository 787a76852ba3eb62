package httpserver_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fields are the members of an event as raw JSON.
type fields map[string]string

func validFields() fields {
	return fields{
		"topic": `"a"`, "event_id": `"1"`, "timestamp": `"2025-10-24T10:30:00Z"`,
		"source": `"test"`, "payload": `{}`,
	}
}

func (f fields) with(name, value string) fields {
	f = maps.Clone(f)
	f[name] = value
	return f
}

func (f fields) without(name string) fields {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// json writes the members by name; more is appended behind them as it is.
func (f fields) json(more string) string {
	var members []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		members = append(members, `"`+name+`":`+f[name])
	}
	return "{" + strings.Join(members, ",") + more + "}"
}

// found is a fault as a test names it.
type found struct{ at, typ string }

func faultsOf(t testing.TB, a answer) []found {
	t.Helper()
	var list []found
	for _, p := range problems(t, a, "invalid_event") {
		require.NotEmpty(t, p.Msg)
		list = append(list, found{p.at(), p.Type})
	}
	return list
}

// requireUntouched checks that the requests so far left no trace.
func (n *node) requireUntouched() {
	n.t.Helper()
	n.requireCounts(0, 0)
	require.Empty(n.t, n.events(""))
	require.Empty(n.t, n.stats().Topics)
}

func TestAFaultyEventIsRefusedAndTheFaultNamed(t *testing.T) {
	ok := validFields()
	long := strings.Repeat("x", 256)
	wide := strings.Repeat("é", 128) // 256 bytes, 128 characters
	tests := []struct {
		name string
		body string
		want []found
	}{
		{"no topic", ok.without("topic").json(""), []found{{"body.topic", "missing"}}},
		{"no event_id", ok.without("event_id").json(""), []found{{"body.event_id", "missing"}}},
		{"no timestamp", ok.without("timestamp").json(""), []found{{"body.timestamp", "missing"}}},
		{"no source", ok.without("source").json(""), []found{{"body.source", "missing"}}},
		{"no payload", ok.without("payload").json(""), []found{{"body.payload", "missing"}}},
		{"an empty object", `{}`, []found{
			{"body.topic", "missing"},
			{"body.event_id", "missing"},
			{"body.timestamp", "missing"},
			{"body.source", "missing"},
			{"body.payload", "missing"},
		}},
		{"a number for the topic", ok.with("topic", "5").json(""), []found{{"body.topic", "string_type"}}},
		{"null for the event_id", ok.with("event_id", "null").json(""), []found{{"body.event_id", "string_type"}}},
		{"a list for the event_id", ok.with("event_id", `["1"]`).json(""), []found{{"body.event_id", "string_type"}}},
		{"an object for the source", ok.with("source", `{"a":1}`).json(""), []found{{"body.source", "string_type"}}},
		{"a number for the timestamp", ok.with("timestamp", "1761301800").json(""), []found{{"body.timestamp", "string_type"}}},
		{"an empty topic", ok.with("topic", `""`).json(""), []found{{"body.topic", "string_too_short"}}},
		{"an empty event_id", ok.with("event_id", `""`).json(""), []found{{"body.event_id", "string_too_short"}}},
		{"an empty source", ok.with("source", `""`).json(""), []found{{"body.source", "string_too_short"}}},
		{"an empty timestamp", ok.with("timestamp", `""`).json(""), []found{{"body.timestamp", "datetime_parsing"}}},
		{"a topic of 256 bytes", ok.with("topic", `"`+long+`"`).json(""), []found{{"body.topic", "string_too_long"}}},
		{"an event_id of 256 bytes", ok.with("event_id", `"`+long+`"`).json(""), []found{{"body.event_id", "string_too_long"}}},
		{"a source of 256 bytes", ok.with("source", `"`+long+`"`).json(""), []found{{"body.source", "string_too_long"}}},
		{"an event_id of 128 characters in 256 bytes", ok.with("event_id", `"`+wide+`"`).json(""), []found{{"body.event_id", "string_too_long"}}},
		{"an escaped NUL", ok.with("event_id", `"a\u0000b"`).json(""), []found{{"body.event_id", "string_control_character"}}},
		{"an escaped line feed", ok.with("topic", `"a\nb"`).json(""), []found{{"body.topic", "string_control_character"}}},
		{"an escaped U+001F", ok.with("source", `"\u001f"`).json(""), []found{{"body.source", "string_control_character"}}},
		{"a DEL", ok.with("event_id", "\"a\x7f\"").json(""), []found{{"body.event_id", "string_control_character"}}},
		{"a lone high surrogate", ok.with("event_id", `"\ud800"`).json(""), []found{{"body.event_id", "string_unicode"}}},
		{"a lone low surrogate", ok.with("topic", `"x\udfff"`).json(""), []found{{"body.topic", "string_unicode"}}},
		{"surrogates in the wrong order", ok.with("source", `"\udc00\ud800"`).json(""), []found{{"body.source", "string_unicode"}}},
		{"a byte that is not UTF-8", ok.with("event_id", "\"\xfe\"").json(""), []found{{"body.event_id", "string_unicode"}}},
		{"an overlong encoding", ok.with("topic", "\"\xc0\xaf\"").json(""), []found{{"body.topic", "string_unicode"}}},
		{"a surrogate in UTF-8", ok.with("source", "\"\xed\xa0\x80\"").json(""), []found{{"body.source", "string_unicode"}}},
		{"a timestamp that is not UTF-8", ok.with("timestamp", "\"2025\xff\"").json(""), []found{{"body.timestamp", "string_unicode"}}},
		{"a payload that is not UTF-8", ok.with("payload", "{\"a\":\"\xff\"}").json(""), []found{{"body.payload", "string_unicode"}}},
		{"an unknown field that is not UTF-8", ok.json(",\"x\":\"\xff\""), []found{{"body", "string_unicode"}}},
		{"a name that is not UTF-8", ok.json(",\"\xff\":1"), []found{{"body", "string_unicode"}}},
		{"a repeated field", ok.json(`,"topic":"b"`), []found{{"body.topic", "duplicate_field"}}},
		{"a repeated payload", ok.json(`,"payload":{}`), []found{{"body.payload", "duplicate_field"}}},
		{"a field repeated with another spelling", ok.json(`,"\u0074opic":"b"`), []found{{"body.topic", "duplicate_field"}}},
		{"a repeated unknown field", ok.json(`,"x":1,"x":2`), []found{{"body.x", "duplicate_field"}}},
		{"names in other letters", ok.without("event_id").json(`,"EVENT_ID":"1"`), []found{{"body.event_id", "missing"}}},
		{"a list for the payload", ok.with("payload", `[]`).json(""), []found{{"body.payload", "dict_type"}}},
		{"a string for the payload", ok.with("payload", `"{}"`).json(""), []found{{"body.payload", "dict_type"}}},
		{"null for the payload", ok.with("payload", `null`).json(""), []found{{"body.payload", "dict_type"}}},
		{"a payload of 65 levels", ok.with("payload", nested(65)).json(""), []found{{"body.payload", "payload_too_deep"}}},
		{"a payload of 5,000 levels", ok.with("payload", nested(5000)).json(""), []found{{"body.payload", "payload_too_deep"}}},
		{"several faults at once", ok.without("topic").with("source", `""`).with("payload", "1").json(""), []found{
			{"body.payload", "dict_type"}, {"body.source", "string_too_short"}, {"body.topic", "missing"},
		}},
		{"a faulty event in an array", `[` + ok.json("") + `,` + ok.without("topic").json("") + `]`, []found{{"body.1.topic", "missing"}}},
		{"no object in an array", `[` + ok.json("") + `,5]`, []found{{"body.1", "model_attributes_type"}}},
		{"an array in an array", `[[` + ok.json("") + `]]`, []found{{"body.0", "model_attributes_type"}}},
		{"an envelope in an array", `[{"events":[]}]`, []found{
			{"body.0.topic", "missing"},
			{"body.0.event_id", "missing"},
			{"body.0.timestamp", "missing"},
			{"body.0.source", "missing"},
			{"body.0.payload", "missing"},
		}},
		{"a faulty event in an envelope", `{"events":[` + ok.with("topic", "5").json("") + `]}`, []found{{"body.events.0.topic", "string_type"}}},
		{"an envelope with null", `{"events":null}`, []found{{"body.events", "list_type"}}},
		{"an envelope with an object", `{"events":` + ok.json("") + `}`, []found{{"body.events", "list_type"}}},
		{"a string", `"event"`, []found{{"body", "model_attributes_type"}}},
		{"a number", `5`, []found{{"body", "model_attributes_type"}}},
		{"null", `null`, []found{{"body", "model_attributes_type"}}},
		{"true", `true`, []found{{"body", "model_attributes_type"}}},
	}
	n := start(t, setup{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := n.on(t)
			require.Equal(t, tt.want, faultsOf(t, n.do("POST", "/publish", tt.body, "Content-Type: application/json")))
		})
	}
	n.requireUntouched()
}

// nested returns an object of so many levels.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

func TestOneFaultyEventRefusesTheWholeBatch(t *testing.T) {
	n := start(t, setup{})
	batch := newEvents("a", "1", "2", "3")
	batch[1].Topic = ""
	a := n.do("POST", "/publish", encode(t, batch))
	require.Equal(t, []found{{"body.1.topic", "string_too_short"}}, faultsOf(t, a))
	n.requireUntouched()
}

func TestAtMostAHundredFaultsAreListed(t *testing.T) {
	n := start(t, setup{})
	a := n.do("POST", "/publish", "["+strings.Repeat("{},", 99)+"{}]")
	list := problems(t, a, "invalid_event")
	require.Len(t, list, 101)
	require.Equal(t, problem{Loc: []any{"body"}, Msg: "400 more faults are not listed", Type: "too_many_errors"}, list[100])
}

func TestABodyThatIsNotJSONIsMalformed(t *testing.T) {
	event := validFields().json("")
	tests := []struct{ name, body string }{
		{"an empty body", ""},
		{"white space", " \n"},
		{"a word", "event"},
		{"NaN", "NaN"},
		{"NaN in a payload", validFields().with("payload", `{"a":NaN}`).json("")},
		{"Infinity in a payload", validFields().with("payload", `{"a":-Infinity}`).json("")},
		{"a byte order mark", "\xef\xbb\xbf" + event},
		{"an unfinished object", event[:len(event)-1]},
		{"an unfinished array", "[" + event},
		{"a comma behind the last field", event[:len(event)-1] + ",}"},
		{"a comma behind the last event", "[" + event + ",]"},
		{"a missing comma", "[" + event + event + "]"},
		{"something behind the end", event + "x"},
		{"a second value", event + event},
		{"a closing bracket too many", "[" + event + "]]"},
		{"single quotes", strings.ReplaceAll(event, `"`, `'`)},
		{"a comment", "/* */" + event},
		{"a raw line feed in a string", validFields().with("topic", "\"a\nb\"").json("")},
		{"a raw NUL in a string", validFields().with("topic", "\"a\x00b\"").json("")},
		{"an unknown escape", validFields().with("topic", `"\x41"`).json("")},
		{"a number with a leading zero", validFields().with("payload", `{"a":01}`).json("")},
		{"faults in a body that breaks off", `[{"topic":5},`},
		{"an envelope that breaks off", `{"events":[` + event},
		{"100,000 opening brackets", strings.Repeat("[", 100_000)},
		{"a payload of 100,000 levels", validFields().with("payload", nested(100_000)).json("")},
		{"form data", "topic=a&event_id=1"},
	}
	n := start(t, setup{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := n.on(t)
			refused(t, n.do("POST", "/publish", tt.body, "Content-Type: application/json"), http.StatusBadRequest, "malformed")
		})
	}
	n.requireUntouched()
}

func TestGoodEventsAreTaken(t *testing.T) {
	ok := validFields()
	long := strings.Repeat("x", 255)
	tests := []struct{ name, body string }{
		{"an object", ok.json("")},
		{"an array of one", "[" + ok.json("") + "]"},
		{"an envelope", `{"events":[` + ok.json("") + `]}`},
		{"an envelope with other fields", `{"a":{"b":[]},"events":[` + ok.json("") + `],"z":null}`},
		{"an envelope whose name is escaped", `{"\u0065vents":[` + ok.json("") + `]}`},
		{"an event with a field named events", ok.json(`,"events":[1,2]`)},
		{"unknown fields", ok.json(`,"trace":{"id":[1,{"x":null}]},"EVENT_ID":7`)},
		{"64 unknown fields", ok.json(unknownFields(64))},
		{"escaped names", strings.ReplaceAll(ok.json(""), `"topic"`, `"\u0074\u006f\u0070\u0069\u0063"`)},
		{"white space everywhere", "\r\n\t { \"topic\" : \"a\" ,\n\"event_id\":\"1\"\t,\"timestamp\" :\"2025-10-24T10:30:00Z\",\"source\": \"s\" , \"payload\" : { } } \r\n"},
		{"255 bytes each", ok.with("topic", `"`+long+`"`).with("event_id", `"`+long+`"`).with("source", `"`+long+`"`).json("")},
		{"255 bytes of two-byte characters and one", ok.with("event_id", `"`+strings.Repeat("é", 127)+`x"`).json("")},
		{"a surrogate pair", ok.with("event_id", `"\ud83d\ude00"`).json("")},
		{"a noncharacter", ok.with("event_id", `"\uffff"`).json("")},
		{"a payload of 64 levels", ok.with("payload", nested(64)).json("")},
		{"brackets inside payload strings are no levels", ok.with("payload", `{"a":"`+strings.Repeat(`[{\"`, 100)+`"}`).json("")},
		{"repeated names inside the payload", ok.with("payload", `{"a":1,"a":2}`).json("")},
		{"a large payload", ok.with("payload", `{"a":"`+strings.Repeat("y", 1<<20)+`"}`).json("")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, setup{})
			require.Equal(t, 1, n.publishBody(tt.body).Stored)
		})
	}
}

// unknownFields returns so many members with names that no event has.
func unknownFields(count int) string {
	var b strings.Builder
	for _, name := range numbered("x", count) {
		b.WriteString(`,"` + name + `":0`)
	}
	return b.String()
}

func TestMoreThan64UnknownFieldsAreRefused(t *testing.T) {
	n := start(t, setup{})
	a := n.do("POST", "/publish", validFields().json(unknownFields(65)))
	require.Equal(t, []found{{"body", "too_many_fields"}}, faultsOf(t, a))
}

func TestAnEmptyBatchIsTaken(t *testing.T) {
	n := start(t, setup{})
	for _, body := range []string{`[]`, `{"events":[]}`, ` [ ] `} {
		p := n.publishBody(body)
		require.Zero(t, p.Accepted)
		require.NotNil(t, p.Results)
		require.Empty(t, p.Results)
	}
	n.requireUntouched()
}
