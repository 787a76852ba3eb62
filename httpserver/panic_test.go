package httpserver_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"sekali"
)

func TestAPanicEndsItsRequestOnly(t *testing.T) {
	script := &scripted{}
	s := withScript(script)
	log, logged := newSignal("panic in a handler")
	s.http.Logger = log
	n := start(t, s)
	script.ingest = func(context.Context, []sekali.Event) ([]sekali.Result, error) { panic("scripted: secret") }

	a := n.do("POST", "/publish", encode(t, newEvent("a", "1")))
	refused(t, a, http.StatusInternalServerError, "internal")
	require.NotContains(t, string(a.body), "secret")
	<-logged

	script.ingest = nil
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Stored)
}

func TestAPanicWhileReadingIsContained(t *testing.T) {
	script := &scripted{fail: func() error { panic("scripted") }}
	n := start(t, withScript(script))
	for _, path := range []string{"/events", "/events?limit=5", "/topics", "/topics/a/events/1", "/stats"} {
		refused(t, n.do("GET", path, ""), http.StatusInternalServerError, "internal")
	}
	script.fail = nil
	n.requireCounts(0, 0)
}

func TestAPanicBeforeABodyIsAskedForIsContained(t *testing.T) {
	script := &scripted{}
	n := start(t, withScript(script))
	script.admits = func() error { panic("scripted: secret") }
	answers := n.raw("POST", "/publish", "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	require.Len(t, answers, 1)
	refused(t, answers[0], http.StatusInternalServerError, "internal")
	require.NotContains(t, string(answers[0].body), "secret")
	script.admits = nil
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Stored)
}

// TestAPanicInEveryHandlerIsContained calls each route of the API and panics when
// its handler has done its work.
func TestAPanicInEveryHandlerIsContained(t *testing.T) {
	n := start(t, setup{wrap: func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Request.Header.Peek("X-Panic")) != "" {
				defer panic("scripted, behind the handler")
			}
			next(ctx)
		}
	}})
	for _, path := range []string{"/", "/events", "/events?limit=1", "/topics", "/topics/a/events/1", "/stats", "/health", "/readyz", "/version", "/openapi.json", "/docs"} {
		refused(t, n.do("GET", path, "", "X-Panic: yes"), http.StatusInternalServerError, "internal")
	}
	refused(t, n.do("POST", "/publish", encode(t, newEvent("a", "1")), "X-Panic: yes"), http.StatusInternalServerError, "internal")
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Duplicates, "what was stored is said when it is asked for again")
	require.Zero(t, n.server.InFlightAnswers())
	require.Zero(t, n.server.InFlightBodies())
}
