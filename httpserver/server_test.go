package httpserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp/fasthttputil"

	"sekali/httpserver"
)

func TestAServerThatWasShutDownBeforeItServedDoesNotServe(t *testing.T) {
	server := httpserver.New(&scripted{}, httpserver.Options{})
	require.NoError(t, server.Shutdown(t.Context()))
	listener := fasthttputil.NewInmemoryListener()
	require.NoError(t, server.Serve(listener))
	_, err := listener.Dial()
	require.Error(t, err, "the listener is closed")
}

func TestAShutdownAtAnyMomentEndsServe(t *testing.T) {
	for range 100 {
		server := httpserver.New(&scripted{}, httpserver.Options{})
		served := make(chan error, 1)
		listener := fasthttputil.NewInmemoryListener()
		go func() { served <- server.Serve(listener) }()
		require.NoError(t, server.Shutdown(t.Context()))
		require.NoError(t, <-served)
	}
}
