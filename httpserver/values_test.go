package httpserver_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rawEvent keeps the bytes of a payload as they came.
type rawEvent struct {
	Timestamp string          `json:"timestamp"`
	Payload   json.RawMessage `json:"payload"`
}

func TestAPayloadComesBackByteForByte(t *testing.T) {
	payloads := []string{
		`{}`,
		`{"n":9007199254740993}`,
		`{"n":123456789012345678901234567890.123456789012345678901234567890e-400}`,
		`{"n":[1.0,1.00,1e2,1E+2,-0,0.1e-7]}`,
		"{ \"b\" : 1 ,\n\t\"a\":[ 1,2 ]\r\n}",
		`{"z":1,"a":2,"z":3}`,
		`{"s":"\u0041\/\n\u00e9é\ud83d\ude00😀"}`,
		`{"s":"\ud800"}`,
		`{"s":"<script>&\u2028"}`,
		`{"":{"":[null,true,false,""]}}`,
	}
	n := start(t, setup{})
	for i, payload := range payloads {
		f := validFields().with("payload", payload).with("event_id", strconv.Quote(strconv.Itoa(i)))
		require.Equal(t, 1, n.publishBody(f.json("")).Stored)
		one := n.do("GET", "/topics/a/events/"+strconv.Itoa(i), "")
		require.Contains(t, string(one.body), `"payload":`+payload+`,"seq"`)
	}
	all := n.do("GET", "/events", "")
	for _, payload := range payloads {
		require.Contains(t, string(all.body), `"payload":`+payload+`,"seq"`)
	}
}

func TestATimestampComesBackAsSent(t *testing.T) {
	n := start(t, setup{})
	for i, timestamp := range []string{
		"2025-10-24T10:30:00Z",
		"2025-10-24t10:30:00z",
		"2025-10-24 10:30:00",
		"2025-10-24T10:30",
		"2025-10-24T10:30Z",
		"2025-10-24T10:30:00+02:00",
		"2025-10-24T10:30:00-0330",
		"2025-10-24T10:30:00+05",
		"2025-10-24T10:30:00+00:00",
		"2025-10-24T10:30:00-00:00",
		"2025-10-24T10:30:00+23:59",
		"2025-10-24T10:30:00.5Z",
		"2025-10-24T10:30:00.123456789Z",
		"2025-10-24T10:30:00.1234567891234567Z",
		"2016-12-31T23:59:60Z",
		"2024-02-29T00:00:00Z",
		"2000-02-29T00:00:00Z",
		"1970-01-01T00:00:00Z",
		"2200-12-31T23:59:59.999999999Z",
	} {
		t.Run(timestamp, func(t *testing.T) {
			n := n.on(t)
			e := newEvent("a", strconv.Itoa(i))
			e.Timestamp = timestamp
			require.Equal(t, 1, n.publish(e).Stored)
			one := as[rawEvent](t, n.do("GET", "/topics/a/events/"+strconv.Itoa(i), ""))
			require.Equal(t, timestamp, one.Timestamp)
		})
	}
}

func TestAnInvalidTimestampIsRefused(t *testing.T) {
	n := start(t, setup{})
	for _, timestamp := range []string{
		"yesterday", "2025", "2025-10-24", "20251024T103000Z", "2025-W43-5T10:30:00Z", "1761301800",
		"2025-10-24T10:30:00,5Z", "2025-10-24T10:30:00.Z", "2025-10-24T9:30:00Z", "2025-10-24T10:30:0Z",
		"2025-10-24T10:30:00+24:00", "2025-10-24T10:30:00+2:00", "2025-10-24T10:30:00+02:60", "2025-10-24T10:30:00+", "2025-10-24T10:30:00 Z",
		"2025-10-24T24:00:00Z", "2025-10-24T10:60:00Z", "2025-10-24T10:30:61Z",
		"2025-02-29T00:00:00Z", "2025-04-31T00:00:00Z", "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z", "2025-01-00T00:00:00Z",
		"2100-02-29T00:00:00Z", "1969-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
		"+2025-10-24T10:30:00Z", "-025-10-24T10:30:00Z", " 2025-10-24T10:30:00Z", "2025-10-24T10:30:00Z ", "2025-10-24T10:30:00ZZ",
		"2025-10-24_10:30:00Z", "２０２５-10-24T10:30:00Z", "2025-10-24T10:30:00Europe/Berlin", "2025-1０-24T10:30:00Z",
		"2025-10-24T10:30:00." + strings.Repeat("0", 60) + "Z",
	} {
		t.Run(timestamp, func(t *testing.T) {
			n := n.on(t)
			e := newEvent("a", "1")
			e.Timestamp = timestamp
			require.Equal(t, []found{{"body.timestamp", "datetime_parsing"}}, faultsOf(t, n.do("POST", "/publish", encode(t, e))))
		})
	}
	n.requireUntouched()
}

func TestALeapSecondIsTheLastInstantBefore(t *testing.T) {
	n := start(t, setup{})
	leap, next := newEvent("a", "leap"), newEvent("a", "next")
	leap.Timestamp, next.Timestamp = "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"
	n.publish([]event{leap, next})
	require.Equal(t, []string{"leap"}, ids(n.events("?since=2016-12-31T23:59:59.999999999Z&until=2016-12-31T23:59:59.999999999Z")))
	require.Equal(t, []string{"next"}, ids(n.events("?since=2017-01-01T00:00:00Z")))
}

func TestATimestampWithoutAZoneIsUTC(t *testing.T) {
	n := start(t, setup{})
	e := newEvent("a", "1")
	e.Timestamp = "2025-10-24T10:30:00"
	n.publish(e)
	require.Len(t, n.events("?since=2025-10-24T10:30:00Z&until=2025-10-24T10:30:00Z"), 1)
}
