package httpserver_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

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
