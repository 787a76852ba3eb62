package apptest_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthcheckTellsAServingServerFromNone(t *testing.T) {
	s := startServer(t, t.TempDir())
	p := run(t, nil, "healthcheck", "--url", s.url)
	require.Equal(t, 0, p.code)
	require.Equal(t, "healthy\n", p.stdout.String())
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	p = run(t, []string{"SEKALI_LISTEN=0.0.0.0:" + port}, "healthcheck")
	require.Equal(t, 0, p.code, "inside a container it asks the server's own address")

	s.kill()
	p = run(t, nil, "healthcheck", "--url", s.url)
	require.Equal(t, 1, p.code)
	require.Contains(t, p.stderr.String(), "not healthy")
	p = run(t, nil, "healthcheck", "--url", "not a url")
	require.Equal(t, 2, p.code)
}

func TestVersionAndCompletionPrint(t *testing.T) {
	p := run(t, nil, "version")
	require.Equal(t, 0, p.code)
	require.Regexp(t, `^sekali \S+ \(commit .*go1\.`, p.stdout.String())
	p = run(t, nil, "version", "--output", "json")
	require.Equal(t, 0, p.code)
	var version map[string]string
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &version))
	require.NotEmpty(t, version["version"])
	require.NotEmpty(t, version["go"])
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		p = run(t, nil, "completion", shell)
		require.Equal(t, 0, p.code)
		require.Contains(t, p.stdout.String(), "sekali")
	}
}

func TestWrongUsageExitsWith2AndSaysHowToGoOn(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"serve", "--nonsense"},
		{"serve", "argument"},
		{"serve", "--max-batch-events", "many"},
		{"serve", "--listen", "8080"},
		{"serve", "--durability", "off"},
		{"serve", "--log-level", "loud"},
		{"serve", "--data-dir", ""},
		{"serve", "--max-body-bytes", "0"},
		{"serve", "--max-topic-in-flight-events", "1"},
		{"serve", "--config", "none.yaml"},
		{"version", "--output", "xml"},
		{"check-config", "--output", "xml"},
	} {
		p := run(t, nil, args...)
		require.Equal(t, 2, p.code, args)
		require.Contains(t, p.stderr.String(), "sekali help", args)
		require.Empty(t, p.stdout.String(), args)
	}
}

// settings runs check-config and returns value and source of each setting.
func settings(t *testing.T, variables []string, args ...string) map[string][2]string {
	t.Helper()
	p := run(t, variables, append([]string{"check-config", "--output", "json"}, args...)...)
	require.Equal(t, 0, p.code)
	var list []struct{ Name, Value, Source string }
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &list))
	byName := make(map[string][2]string)
	for _, s := range list {
		byName[s.Name] = [2]string{s.Value, s.Source}
	}
	return byName
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sekali.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	file := writeConfig(t, "# a comment\nlisten: 127.0.0.1:1\ndata-dir: /from/file\nmax-body-bytes: 4MiB\nread-timeout: 7s\nallow-anonymous: true\n")
	got := settings(t, []string{"SEKALI_LISTEN=127.0.0.1:2", "SEKALI_DATA_DIR=/from/environment", "SEKALI_MAX_BATCH_EVENTS=12"},
		"--config", file, "--listen", "127.0.0.1:3")
	require.Equal(t, [2]string{"127.0.0.1:3", "flag"}, got["listen"])
	require.Equal(t, [2]string{"/from/environment", "environment"}, got["data-dir"])
	require.Equal(t, [2]string{"4MiB", "file"}, got["max-body-bytes"])
	require.Equal(t, [2]string{"7s", "file"}, got["read-timeout"])
	require.Equal(t, [2]string{"true", "file"}, got["allow-anonymous"])
	require.Equal(t, [2]string{"12", "environment"}, got["max-batch-events"])
	require.Equal(t, [2]string{"30s", "default"}, got["write-timeout"])

	got = settings(t, []string{"SEKALI_CONFIG=" + file})
	require.Equal(t, [2]string{"127.0.0.1:1", "file"}, got["listen"], "the file itself may come from the environment")
	got = settings(t, nil)
	require.Equal(t, [2]string{"127.0.0.1:8080", "default"}, got["listen"])
}

func TestServeTakesItsConfigurationFromTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	file := writeConfig(t, "listen: 127.0.0.1:0\ndata-dir: "+dir+"\nlog-format: json\ndurability: relaxed\n")
	s := served(t, launch(t, []string{"SEKALI_CONFIG=" + file}, "serve"))
	require.Equal(t, "relaxed", s.stats().Durability)
	require.FileExists(t, filepath.Join(dir, "sekali.db"))
}

func TestAWrongConfigurationFileIsNamedWithItsLine(t *testing.T) {
	for text, says := range map[string]string{
		"listen: 127.0.0.1:0\ndatadir: x\n":        `:2: unknown key "datadir"; did you mean data-dir?`,
		"max_batch_events: 5\n":                    "did you mean max-batch-events?",
		"\n\nread-timeout: soon\n":                 ":3: ",
		"max-batch-events: 1\nmax-batch-events: 2": ":2: max-batch-events appears twice",
		"listen:\n  - a\n":                         ":2: listen should be a single value",
		"- listen\n":                               `:1: the file should be lines of "name: value"`,
		"listen: [\n":                              "yaml",
		"config: other.yaml\n":                     `:1: unknown key "config"`,
		"data-dir:\n":                              "data-dir",
	} {
		file := writeConfig(t, text)
		for _, command := range []string{"check-config", "serve"} {
			p := run(t, nil, command, "--config", file)
			require.Equal(t, 2, p.code, text)
			require.Contains(t, p.stderr.String(), says, text)
		}
		if says != "data-dir" { // what is wrong there is the value, not the line
			require.Contains(t, run(t, nil, "check-config", "--config", file).stderr.String(), file, text)
		}
	}
}

func TestAWrongVariableIsNamed(t *testing.T) {
	for variable, says := range map[string]string{
		"SEKALI_DATADIR=x":             "unknown environment variable SEKALI_DATADIR",
		"SEKALI_READ_TIMEOUT=soon":     "environment variable SEKALI_READ_TIMEOUT",
		"SEKALI_ALLOW_ANONYMOUS=maybe": "environment variable SEKALI_ALLOW_ANONYMOUS",
		"SEKALI_MAX_BODY_BYTES=-1":     "environment variable SEKALI_MAX_BODY_BYTES",
	} {
		for _, command := range []string{"check-config", "serve"} {
			p := run(t, []string{variable}, command)
			require.Equal(t, 2, p.code, variable)
			require.Contains(t, p.stderr.String(), says)
		}
	}
	p := run(t, []string{"SEKALI_SERVICE_HOST=10.0.0.1", "SEKALI_PORT_8080_TCP=tcp://10.0.0.1:8080"}, "check-config")
	require.Equal(t, 0, p.code, "what Kubernetes sets for a service of that name is not ours")
}
