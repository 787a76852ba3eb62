package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/access"
)

func TestRatesAreReadWithUnitsAndWrittenInTheFirstWholeOne(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1000/s": "1000/s", "1000": "1000/s", "60/m": "1/s", "1/m": "1/m", "90/m": "90/m", "7/h": "7/h", "0.5/s": "30/m", "3600/h": "1/s",
	} {
		var r rateValue
		require.NoError(t, r.Set(text), text)
		require.Equal(t, want, r.String(), text)
	}
	for _, text := range []string{"", "fast", "/s", "10/d", "-1/s", "NaN", "1/s/s", "1 /s"} {
		require.Error(t, new(rateValue).Set(text), text)
	}
}

// keysCommand runs a command line below 'sekali keys'.
func keysCommand(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newKeysCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestTheTableOfKeysSaysWhatEachMay(t *testing.T) {
	dir := t.TempDir()
	created, err := keysCommand(t, "create", "--data-dir", dir, "--name", "shop", "--scope", "read,publish", "--topic-prefix", "order.",
		"--topic-prefix", "a, b", "--rate", "90/m", "--burst", "5", "--expires-in", "2160h")
	require.NoError(t, err)
	require.Regexp(t, `sek_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}\n`, created)
	for _, says := range []string{"only time", `order.*,"a, b"*`, "90/m (burst 5)", "publish,read", dir} {
		require.Contains(t, created, says)
	}
	_, err = keysCommand(t, "create", "--data-dir", dir, "--name", "ops", "--scope", "admin")
	require.NoError(t, err)
	_, err = keysCommand(t, "revoke", "ops", "--data-dir", dir)
	require.NoError(t, err)
	listed, err := keysCommand(t, "list", "--data-dir", dir)
	require.NoError(t, err)
	require.NotContains(t, listed, "sek_")
	require.Regexp(t, `(?m)^[0-9A-Za-z]{12}  shop  publish,read .* active$`, listed)
	require.Regexp(t, `(?m)^[0-9A-Za-z]{12}  ops   admin +all +no limit .* revoked$`, listed)
}

func TestJSONHasTheSecretOnlyWhereItIsMade(t *testing.T) {
	dir := t.TempDir()
	text, err := keysCommand(t, "create", "--data-dir", dir, "--name", "shop", "--scope", "publish", "--output", "json")
	require.NoError(t, err)
	var created map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &created))
	require.Contains(t, created["key"], "sek_")
	require.Equal(t, string(access.Active), created["state"])
	text, err = keysCommand(t, "list", "--data-dir", dir, "--output", "json")
	require.NoError(t, err)
	var listed []map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &listed))
	delete(created, "key")
	require.Equal(t, []map[string]any{created}, listed)
	require.NotContains(t, text, "sha256", "hashes are nobody's business")
}

func TestARotationGivesTheOverlapThatWasAsked(t *testing.T) {
	dir := t.TempDir()
	_, err := keysCommand(t, "create", "--data-dir", dir, "--name", "shop", "--scope", "publish")
	require.NoError(t, err)
	_, err = keysCommand(t, "rotate", "shop", "--data-dir", dir)
	require.NoError(t, err)
	text, err := keysCommand(t, "list", "--data-dir", dir, "--output", "json")
	require.NoError(t, err)
	var listed []access.Key
	require.NoError(t, json.Unmarshal([]byte(text), &listed))
	require.Len(t, listed, 2)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), listed[0].Expires, time.Minute)
	require.Zero(t, listed[1].Expires)
}
