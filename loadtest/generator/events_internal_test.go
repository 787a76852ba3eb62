package generator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnEventIsTheSameWhereverItIsBuilt(t *testing.T) {
	run := NewRun(1, 7, 10)
	require.Equal(t, run, NewRun(1, 7, 10))
	require.NotEqual(t, run.Key, NewRun(1, 8, 10).Key)
	require.NotEqual(t, run.Key, NewRun(2, 7, 10).Key)
	one, many := newTemplate(Target{}, 1), newTemplate(Target{}, 3)
	for i, n := range []uint64{0, 42, 123_456_789_012} {
		many.put(i, run, n)
	}
	one.put(0, run, 42)
	require.Contains(t, string(many.bytes), string(one.bytes[one.body:]))
}

func TestARequestIsTheJSONThatItSeems(t *testing.T) {
	run := NewRun(3, 4, 10)
	request := newTemplate(Target{host: "here", apiKey: "k"}, 2)
	request.put(0, run, 8)
	run.Gaps = true
	request.put(1, run, 19)
	head, body, found := strings.Cut(string(request.bytes), "\r\n\r\n")
	require.True(t, found)
	require.Contains(t, head, "POST /publish HTTP/1.1\r\nHost: here\r\n")
	require.Contains(t, head, "Authorization: Bearer k\r\n")
	var events []struct {
		Topic   string          `json:"topic"`
		ID      string          `json:"event_id"`
		Payload json.RawMessage `json:"payload"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &events))
	require.Len(t, events, 2)
	for i, n := range []uint64{8, 19} {
		run.Gaps = i == 1
		require.Equal(t, run.TopicOf(n), events[i].Topic)
		require.Equal(t, run.ID(n), events[i].ID)
		require.Equal(t, string(Payload(n)), string(events[i].Payload))
		require.Len(t, events[i].Payload, payloadBytes)
	}
	require.Equal(t, 281, EventBytes)
}

func TestIDsHaveNoOrderAndDoNotRepeat(t *testing.T) {
	run := NewRun(1, 1, 1)
	seen := map[string]bool{}
	ascending := 0
	for n := range uint64(10_000) {
		id := run.ID(n)
		require.Len(t, id, 32)
		require.False(t, seen[id])
		seen[id] = true
		if n > 0 && id > run.ID(n-1) {
			ascending++
		}
	}
	require.InDelta(t, 5000, ascending, 300)
}

func TestATopicNamesItsRun(t *testing.T) {
	run := NewRun(1, 1, 1000)
	for _, gaps := range []bool{false, true} {
		run.Gaps = gaps
		parsed, ok := ParseTopic(run.TopicOf(1999))
		require.True(t, ok)
		require.Equal(t, Run{Key: run.Key, Gaps: gaps}, parsed)
	}
	require.Equal(t, run.Topic(999), run.TopicOf(1999))
	for _, other := range []string{"", "load.", "loadtest.abcd.1", "load.0123456x.000", "lead.01234567.000", "load.01234567-000", "load.01234567.0000"} {
		_, ok := ParseTopic(other)
		require.False(t, ok, other)
	}
}

func TestWhatIsOnItsWayIsNotRepeated(t *testing.T) {
	s := NewStream(NewRun(1, 1, 1), 10, 2, Repeats{}, 1)
	require.Zero(t, s.acknowledged())
	require.EqualValues(t, 0, s.claim(0, 10))
	require.EqualValues(t, 10, s.claim(1, 10))
	require.Zero(t, s.acknowledged())
	s.settle(0)
	require.EqualValues(t, 10, s.acknowledged(), "the second publisher waits for its answer")
	s.settle(1)
	require.EqualValues(t, 20, s.acknowledged())
}

func TestAnAnswerInAnotherFormIsReadToo(t *testing.T) {
	var a publishAnswer
	body := `{ "results": [{"seq": 7, "outcome": "stored"}, {"seq": 3, "outcome": "duplicate", "new": 1}],
		"status": "ok", "durability": "relaxed", "accepted": 2, "stored": 1, "duplicates": 1 }`
	require.NoError(t, a.judge([]byte(body), []expectation{isNew, isRepeat}))
	require.False(t, a.scan([]byte(body)))
	require.NoError(t, a.judge([]byte(body), []expectation{isEither, isEither}))
	require.Error(t, a.judge([]byte(body), []expectation{isRepeat, isNew}))
	for _, wrong := range []string{"", "{}", "[]", `{"status":"ok","accepted":2`, body + "x"} {
		require.Error(t, a.judge([]byte(wrong), []expectation{isNew, isRepeat}), wrong)
	}
}

func TestTheHeadersOfAnAnswerAreRead(t *testing.T) {
	h, err := parseHead([]byte("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 12\r\nRetry-After: 1\r\nConnection: close\r\n"))
	require.NoError(t, err)
	require.Equal(t, responseHead{status: 503, length: 12, retryAfter: true, closing: true}, h)
	for _, wrong := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: x\r\n", "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n", "SSH-2.0-OpenSSH_9.9\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
	} {
		_, err := parseHead([]byte(wrong))
		require.Error(t, err, wrong)
	}
}
