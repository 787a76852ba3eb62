package httpserver_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestContentTypes(t *testing.T) {
	tests := []struct {
		name, contentType string
		status            int
	}{
		{"none", "", http.StatusOK},
		{"JSON", "application/json", http.StatusOK},
		{"JSON in other letters", "Application/JSON", http.StatusOK},
		{"JSON in UTF-8", "application/json; charset=UTF-8", http.StatusOK},
		{"JSON with another parameter", "application/json; profile=x", http.StatusOK},
		{"JSON in another character set", "application/json; charset=latin1", http.StatusUnsupportedMediaType},
		{"text", "text/plain", http.StatusUnsupportedMediaType},
		{"a form, as curl says unasked", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType},
		{"several parts", "multipart/form-data; boundary=x", http.StatusUnsupportedMediaType},
		{"something like JSON", "application/problem+json", http.StatusUnsupportedMediaType},
		{"nonsense", "json;;", http.StatusUnsupportedMediaType},
	}
	n := start(t, setup{})
	body := encode(t, newEvent("a", "1"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := n.on(t)
			var header []string
			if tt.contentType != "" {
				header = append(header, "Content-Type: "+tt.contentType)
			}
			a := n.do("POST", "/publish", body, header...)
			require.Equal(t, tt.status, a.status, "%s", a.body)
			if tt.status != http.StatusOK {
				refused(t, a, tt.status, "unsupported_media_type")
			}
		})
	}
}

func TestABatchMayHaveUpToTheLimit(t *testing.T) {
	s := setup{}
	s.http.MaxBatchEvents = 10
	n := start(t, s)
	for _, form := range []struct{ name, before, behind string }{{"an array", "", ""}, {"an envelope", `{"events":`, `}`}} {
		t.Run(form.name, func(t *testing.T) {
			n := start(t, s)
			a := n.do("POST", "/publish", form.before+encode(t, newEvents("a", numbered("e", 11)...))+form.behind)
			refused(t, a, http.StatusRequestEntityTooLarge, "batch_too_large")
			n.requireUntouched()
			require.Equal(t, 10, n.publishBody(form.before+encode(t, newEvents("a", numbered("e", 10)...))+form.behind).Stored)
		})
	}
	a := n.do("POST", "/publish/batch", encode(t, newEvents("a", numbered("e", 11)...)))
	refused(t, a, http.StatusRequestEntityTooLarge, "batch_too_large")
}

func TestABodyMayHaveUpToTheLimit(t *testing.T) {
	s := setup{}
	s.http.MaxBodyBytes = 1000
	n := start(t, s)
	event := strings.TrimSpace(encode(t, newEvent("a", "1")))
	full := event + strings.Repeat(" ", 1000-len(event))
	require.Equal(t, 1, n.publishBody(full).Stored)

	for _, head := range []string{
		"Content-Length: 1001\r\n\r\n" + full + " ",
		"Content-Length: 1000000000000\r\n\r\n{",
		"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + full + " \r\n0\r\n\r\n",
	} {
		answers := n.raw("POST", "/publish", "POST /publish HTTP/1.1\r\nHost: x\r\n"+head)
		require.Len(t, answers, 1)
		refused(t, answers[0], http.StatusRequestEntityTooLarge, "body_too_large")
	}
	n.requireCounts(1, 0)
}

func TestAChunkedBodyIsTaken(t *testing.T) {
	n := start(t, setup{})
	body := encode(t, newEvent("a", "1"))
	half := len(body) / 2
	answers := n.raw("POST", "/publish", "POST /publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"+
		chunk(body[:half])+chunk(body[half:])+"0\r\n\r\n")
	require.Len(t, answers, 1)
	require.Equal(t, http.StatusOK, answers[0].status)
	n.requireCounts(1, 0)
}

// chunk returns one piece of a chunked body.
func chunk(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }

func TestTheAliasOfPublishTakesTheSameBodies(t *testing.T) {
	n := start(t, setup{})
	for i, body := range []string{encode(t, newEvent("a", "1")), encode(t, newEvents("a", "1", "2"))} {
		a := n.do("POST", "/publish/batch", body, "Content-Type: application/json")
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, 1, as[published](t, a).Stored, "request %d", i)
	}
	n.requireCounts(2, 1)
	problems(t, n.do("POST", "/publish/batch", "[{}]"), "invalid_event")
	refused(t, n.do("POST", "/publish/batch", "[]", "Content-Type: text/csv"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	n.requireCounts(2, 1)
}
