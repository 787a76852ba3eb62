package storetest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

var valueTests = []test{
	{"ids are compared byte by byte and come back identical", oddIDs},
	{"sources come back identical and are filtered byte by byte", oddSources},
	{"payloads come back byte for byte", oddPayloads},
	{"timestamps come back as sent, with their meaning to the nanosecond", oddTimestamps},
}

func oddIDs(f *fixture) {
	var events []sekali.Event
	for _, id := range oddNames {
		events = append(events, event("odd", id), event(id, "odd"))
	}
	for _, d := range f.append(events...).Decisions {
		require.True(f, d.Stored, "no two of the names are equal")
	}
	for _, again := range []func(){func() {}, f.reopen} {
		again()
		for i, d := range f.append(events...).Decisions {
			require.False(f, d.Stored, "%q", events[i].ID)
			require.Equal(f, events[i].Fingerprint(), d.Fingerprint)
		}
		for i := range events {
			got := f.event(events[i].Topic, events[i].ID)
			require.Equal(f, events[i], got.Event)
			require.Equal(f, []sekali.StoredEvent{got.StoredEvent}, f.read(sekali.EventsQuery{
				Topic: events[i].Topic, EventID: events[i].ID, Limit: 10,
			}))
		}
	}
}

func oddSources(f *fixture) {
	for i, source := range oddNames {
		e := event("t", string(rune('a'+i)))
		e.Source = source
		f.append(e)
	}
	f.reopen()
	for i, source := range oddNames {
		list := f.read(sekali.EventsQuery{Source: source, Limit: 10})
		require.Equal(f, []string{"t/" + string(rune('a'+i))}, ids(list), "%q", source)
		require.Equal(f, source, list[0].Source)
	}
}

// payloads are JSON that a store would change if it did more than keep it.
var payloads = []string{
	`{}`, `{ }`, "{\n\t\"a\" : 1\r\n}", `{"a":1,"a":2}`, `{"b":1,"a":2}`, `{"n":9007199254740993}`, `{"n":1.0}`, `{"n":1E400}`,
	`{"n":-0}`, `{"n":0.1000000000000000055511151231257827}`, `{"s":"\u0000"}`, `{"s":"\ud83d\ude00"}`, `{"s":"😀"}`, `{"s":"\/"}`,
	`{"s":"é"}`, "{\"s\":\"e\u0301\"}", "{\"s\":\"\ufeff\u202e\u2028\"}", `{"s":"'; drop table events; --"}`, `{"":""}`, `{"😀":{"日本":[]}}`,
	`{"s":"` + strings.Repeat("x", 1<<20) + `"}`, `{"a":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`,
}

func oddPayloads(f *fixture) {
	for i, p := range payloads {
		e := event("t", string(rune('a'+i)))
		e.Payload = []byte(p)
		f.append(e)
	}
	f.reopen()
	list := f.read(sekali.EventsQuery{Limit: 3})
	require.Len(f, list, len(payloads))
	for i, p := range payloads {
		require.Equal(f, p, string(f.event("t", string(rune('a'+i))).Payload))
		require.Equal(f, p, string(list[i].Payload))
	}
}

func oddTimestamps(f *fixture) {
	times := map[string]time.Time{
		"2025-10-24T10:30:00Z":                time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC),
		"2025-10-24t10:30:00z":                time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC),
		"2025-10-24T10:30:00":                 time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC),
		"2025-10-24T17:30:00+07:00":           time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC),
		"2025-10-24T10:30:00.000000001-00:00": time.Date(2025, 10, 24, 10, 30, 0, 1, time.UTC),
		"1970-01-01T00:00:00Z":                time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		"2200-12-31T23:59:59.999999999Z":      time.Date(2200, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		"2016-12-31T23:59:60Z":                time.Date(2016, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	}
	for text, when := range times {
		e := eventAt("t", text, when)
		e.Timestamp = text
		f.append(e)
	}
	f.reopen()
	for text, when := range times {
		got := f.event("t", text)
		require.Equal(f, text, got.Timestamp)
		require.Equal(f, when, got.Time)
	}
	early := f.read(sekali.EventsQuery{Until: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 10})
	require.Equal(f, []string{"t/1970-01-01T00:00:00Z"}, ids(early), "the epoch is a bound like any other")
}
