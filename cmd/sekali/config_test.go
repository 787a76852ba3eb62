package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"sekali/persistence/sqlite"
)

// parsed returns a configuration that was given the flags in args.
func parsed(t *testing.T, args ...string) (*config, *pflag.FlagSet) {
	t.Helper()
	c, flags := &config{}, pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c.defineFlags(flags)
	require.NoError(t, flags.Parse(args))
	return c, flags
}

func requireUsageError(t *testing.T, err error, says string) {
	t.Helper()
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitUsage, exit.code)
	require.ErrorContains(t, err, says)
}

func TestTheDefaultsAreValid(t *testing.T) {
	c, flags := parsed(t)
	require.NoError(t, loadConfig(c, flags))
	require.Equal(t, sqlite.Durable, c.sqliteDurability())
}

func TestWhatIsNotAConfigurationIsNamed(t *testing.T) {
	for _, tc := range []struct{ args, says string }{
		{"--listen=8080", "--listen"},
		{"--listen=127.0.0.1:99999", "the port should be a number"},
		{"--listen=127.0.0.1:http", "the port should be a number"},
		{"--listen=0.0.0.0:8080", "--allow-anonymous"},
		{"--listen=:8080", "--allow-anonymous"},
		{"--listen=10.1.2.3:80", "--allow-anonymous"},
		{"--listen=localhost.example:80", "--allow-anonymous"},
		{"--data-dir=", "--data-dir is empty"},
		{"--durability=off", "use durable or relaxed"},
		{"--log-format=xml", "use text or json"},
		{"--tls-cert=cert.pem", "go together"},
		{"--tls-key=key.pem", "go together"},
		{"--allowed-hosts=https://events.example.com", "is not a host name"},
		{"--allowed-hosts=events.example.com:8080", "is not a host name"},
		{"--allowed-hosts=*.", "is not a host name"},
		{"--allowed-hosts=a*b", "is not a host name"},
		{"--cors-origins=*", "is not an origin"},
		{"--cors-origins=null", "is not an origin"},
		{"--cors-origins=app.example.com", "is not an origin"},
		{"--cors-origins=https://app.example.com/", "is not an origin"},
		{"--cors-origins=https://App.example.com", "is not an origin"},
		{"--log-level=loud", "use debug, info, warn or error"},
		{"--max-body-bytes=0", "--max-body-bytes must be greater than 0"},
		{"--max-batch-events=0", "--max-batch-events must be greater than 0"},
		{"--max-connections=-1", "--max-connections must be greater than 0"},
		{"--seen-cache-entries=0", "--seen-cache-entries must be greater than 0"},
		{"--request-timeout=0", "--request-timeout must be greater than 0"},
		{"--read-timeout=-1s", "--read-timeout must be greater than 0"},
		{"--write-timeout=0", "--write-timeout must be greater than 0"},
		{"--idle-timeout=0", "--idle-timeout must be greater than 0"},
		{"--topic-idle-timeout=0", "--topic-idle-timeout must be greater than 0"},
		{"--shutdown-timeout=0", "--shutdown-timeout must be greater than 0"},
		{"--max-batch-events=20001", "must not exceed --max-topic-in-flight-events"},
		{"--max-in-flight-events=1", "must not exceed"},
		{"--max-key-in-flight-events=9999", "must not exceed --max-key-in-flight-events"},
		{"--max-key-in-flight-bytes=7MiB", "must not exceed --max-key-in-flight-bytes"},
		{"--max-in-flight-bytes=10MiB", "the largest batch takes"},
		{"--max-topic-in-flight-bytes=10MiB", "the largest batch takes"},
		{"--config=none.yaml", "none.yaml"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			c, flags := parsed(t, tc.args)
			requireUsageError(t, loadConfig(c, flags), tc.says)
		})
	}
}

func TestLoopbackNeedsNoPermission(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "127.9.9.9:80", "localhost:8080", "[::1]:8080"} {
		c, flags := parsed(t, "--listen", address)
		require.NoError(t, loadConfig(c, flags), address)
	}
	c, flags := parsed(t, "--listen=0.0.0.0:8080", "--allow-anonymous", "--durability=relaxed")
	require.NoError(t, loadConfig(c, flags))
	require.Equal(t, sqlite.Relaxed, c.sqliteDurability())
}

func TestNamesAreSeparatedByCommasOrFlags(t *testing.T) {
	c, flags := parsed(t, "--allowed-hosts=events.example.com, *.example.org", "--allowed-hosts", "other", "--cors-origins=https://a.example,http://localhost:3000")
	require.NoError(t, loadConfig(c, flags))
	require.Equal(t, nameList{"events.example.com", "*.example.org", "other"}, c.allowedHosts)
	require.Equal(t, "https://a.example,http://localhost:3000", c.corsOrigins.String())
}

func TestSizesAreReadWithUnitsAndWrittenInTheLargestExactOne(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1": "1", "1023": "1023", "1024": "1KiB", "1KiB": "1KiB", "1500": "1500", "8388608": "8MiB", "8 MiB": "8MiB",
		"8mib": "8MiB", "8MB": "8000000", "1.5GiB": "1536MiB", "1TiB": "1024GiB",
	} {
		var b byteSize
		require.NoError(t, b.Set(text), text)
		require.Equal(t, want, b.String(), text)
		var again byteSize
		require.NoError(t, again.Set(b.String()))
		require.Equal(t, b, again)
	}
	for _, text := range []string{"", "-1", "MiB", "8 apples", "2TiB", "99999999999999999999"} {
		require.Error(t, new(byteSize).Set(text), text)
	}
}

func TestAVariableIsTheFlagsNameInCapitals(t *testing.T) {
	require.Equal(t, "SEKALI_MAX_IN_FLIGHT_BYTES", envName("max-in-flight-bytes"))
}

func TestVariablesSetWhatFlagsLeftAlone(t *testing.T) {
	c, root := &config{}, newRootCommand()
	cmd := &cobra.Command{Use: "test"}
	root.AddCommand(cmd)
	c.defineFlags(cmd.Flags())
	require.NoError(t, cmd.Flags().Parse([]string{"--listen=127.0.0.1:1"}))
	require.NoError(t, applyEnvironment(cmd, []string{
		"SEKALI_LISTEN=127.0.0.1:2", "SEKALI_READ_TIMEOUT=7s", "SEKALI_URL=http://127.0.0.1:1", "SEKALI_PORT=tcp://10.0.0.1", "OTHER=x", "broken",
	}))
	require.Equal(t, "127.0.0.1:1", c.listen)
	require.Equal(t, 7*time.Second, c.readTimeout)
	require.Equal(t, sourceFlag, sourceOf(cmd.Flags().Lookup("listen")))
	require.Equal(t, sourceEnvironment, sourceOf(cmd.Flags().Lookup("read-timeout")))
	require.Equal(t, sourceDefault, sourceOf(cmd.Flags().Lookup("write-timeout")))

	requireUsageError(t, applyEnvironment(cmd, []string{"SEKALI_WRITE_TIMEOUT=soon"}), "SEKALI_WRITE_TIMEOUT")
	for _, unknown := range []string{"SEKALI_LISTENS", "SEKALI_EVENTS", "SEKALI_HELP"} {
		requireUsageError(t, applyEnvironment(cmd, []string{unknown + "=x"}), "unknown environment variable "+unknown)
	}
	requireUsageError(t, applyEnvironment(cmd, []string{"SEKALI_API_KEY=secret"}), "is for clients")
	require.NoError(t, applyEnvironment(newDoctorCommand(), []string{"SEKALI_API_KEY=secret"}), "doctor is a client, too")
}

func TestAKeyOfTheFileYieldsToFlagAndVariable(t *testing.T) {
	c, flags := parsed(t, "--listen=127.0.0.1:1")
	require.NoError(t, applyYAML(flags, "f", []byte("listen: 127.0.0.1:2\nread-timeout: 7s\n")))
	require.Equal(t, "127.0.0.1:1", c.listen)
	require.Equal(t, 7*time.Second, c.readTimeout)
	require.Equal(t, sourceFile, sourceOf(flags.Lookup("read-timeout")))
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		_, flags := parsed(t)
		if err := applyYAML(flags, "f", []byte(empty)); err != nil {
			requireUsageError(t, err, "f:") // a document of nothing may be refused, not misread
		}
	}
}

func TestAFileHoldsOneDocumentOfValues(t *testing.T) {
	for text, says := range map[string]string{
		"listen: 127.0.0.1:2\n---\nlisen: x\n": "one document",
		"data-dir: ~\n":                        "data-dir should be a single value",
		"data-dir:\n":                          "data-dir should be a single value",
	} {
		_, flags := parsed(t)
		requireUsageError(t, applyYAML(flags, "f", []byte(text)), says)
	}
}

func TestAnUnknownKeySuggestsTheOneThatWasMeant(t *testing.T) {
	_, flags := parsed(t)
	for key, says := range map[string]string{
		"lisen": "did you mean listen?", "dataDir": "did you mean data-dir?", "max_body_bytes": "did you mean max-body-bytes?",
		"logformat": "did you mean log-format?", "nothing-like-it": "'sekali serve --help' lists the names",
	} {
		requireUsageError(t, applyYAML(flags, "f", []byte(key+": 1")), says)
	}
}

func TestTheHealthcheckAsksThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://127.0.0.1:80", ":80": "http://127.0.0.1:80",
		"[::]:80": "http://127.0.0.1:80", "[::1]:80": "http://[::1]:80", "localhost:1": "http://localhost:1",
	} {
		got, err := localURL(listen, false)
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = localURL(listen, true)
		require.NoError(t, err)
		require.Equal(t, strings.Replace(want, "http:", "https:", 1), got)
	}
	_, err := localURL("8080", false)
	requireUsageError(t, err, "--listen")
}

func TestAnErrorKeepsItsCauseBesideItsExitCode(t *testing.T) {
	require.NoError(t, exitWith(exitFailed, nil))
	require.ErrorIs(t, exitWith(exitStorage, io.ErrUnexpectedEOF), io.ErrUnexpectedEOF)
	var exit *exitError
	require.ErrorAs(t, errors.Join(exitWith(exitInUse, io.EOF), io.ErrClosedPipe), &exit)
	require.Equal(t, exitInUse, exit.code)
}
