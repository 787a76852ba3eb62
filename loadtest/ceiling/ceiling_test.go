package ceiling_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/ceiling"
)

// childMode is the variable that makes this test binary behave as a program
// that has the echo as a command.
const childMode = "CEILING_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" || !slices.Equal(os.Args[1:], ceiling.EchoCommand) {
		os.Exit(m.Run())
	}
	os.Exit(child(mode))
}

func child(mode string) int {
	switch mode {
	case "dies":
		fmt.Fprintln(os.Stderr, "no ports left")
		return 1
	case "says nothing":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	if err := ceiling.ServeEcho(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func startEcho(t *testing.T, ctx context.Context, mode string) (*ceiling.Echo, error) { //nolint:revive // The test comes first here, as in testify.
	t.Helper()
	t.Setenv(childMode, mode)
	executable, err := os.Executable()
	require.NoError(t, err)
	return ceiling.StartEcho(ctx, executable)
}

func TestTheEchoAnswersWithWhatWasSentUntilItIsStopped(t *testing.T) {
	echo, err := startEcho(t, t.Context(), "serves")
	require.NoError(t, err)
	require.Positive(t, echo.PID())
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for _, body := range []string{"", `{"event_id":"1"}`, strings.Repeat("x", 100_000)} {
		resp, err := client.Post(echo.URL+"/publish", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, body, string(answer))
	}
	resp, err := client.Get(echo.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, "the echo of nothing would be no ceiling")

	require.NoError(t, echo.Stop(), "although a connection is open")
	_, err = net.Dial("tcp", strings.TrimPrefix(echo.URL, "http://"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestAnEchoThatCannotStartSaysWhy(t *testing.T) {
	_, err := startEcho(t, t.Context(), "dies")
	require.ErrorContains(t, err, "exit status 1")
	require.ErrorContains(t, err, "no ports left")
}

func TestWaitingForAnEchoEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := startEcho(t, ctx, "says nothing")
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheRawAppendGivesItsRateAndRemovesItsRows(t *testing.T) {
	dir := t.TempDir()
	rate, err := ceiling.RawAppend(t.Context(), dir, 5_678)
	require.NoError(t, err)
	require.Positive(t, rate)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTheRawAppendRefusesWhatItCannotMeasure(t *testing.T) {
	_, err := ceiling.RawAppend(t.Context(), t.TempDir(), 0)
	require.ErrorContains(t, err, "not 0")
	_, err = ceiling.RawAppend(t.Context(), t.TempDir()+"/absent", 1)
	require.ErrorIs(t, err, os.ErrNotExist)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ceiling.RawAppend(ctx, t.TempDir(), 1)
	require.ErrorIs(t, err, context.Canceled)
}
