package apptest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/client"
)

// madeKey is what 'sekali keys create --output json' prints.
type madeKey struct {
	Key   string `json:"key"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// secret is the part of a key that nobody but its owner may see.
func (k madeKey) secret() string { return k.Key[strings.LastIndexByte(k.Key, '_')+1:] }

// createKey makes a key on the command line.
func createKey(t testing.TB, dir, name, scopes string, args ...string) madeKey {
	t.Helper()
	return keysCommand[madeKey](t, append([]string{"create", "--data-dir", dir, "--name", name, "--scope", scopes}, args...)...)
}

// keysCommand runs 'sekali keys' and reads what it prints.
func keysCommand[T any](t testing.TB, args ...string) (v T) {
	t.Helper()
	p := run(t, nil, append(append([]string{"keys"}, args...), "--output", "json")...)
	require.Equal(t, 0, p.code)
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &v))
	return v
}

// as returns a client of the server with a key.
func (s *server) as(k madeKey) *client.Client {
	s.t.Helper()
	c, err := client.New(s.url, client.Options{APIKey: k.Key, RequestTimeout: patience, MaxAttempts: 1})
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// status asks for the counts and returns the status of the answer.
func status(t testing.TB, c *client.Client) int {
	t.Helper()
	_, err := c.Stats(t.Context())
	var refused *client.APIError
	if err == nil {
		return http.StatusOK
	}
	require.ErrorAs(t, err, &refused)
	return refused.Status
}

// becomes waits until a client gets this status, and returns how long it took.
func becomes(t testing.TB, c *client.Client, want int) time.Duration {
	t.Helper()
	begin := time.Now()
	require.Eventually(t, func() bool { return status(t, c) == want }, patience, shortly)
	return time.Since(begin)
}

func TestKeysAreManagedWhileAServerRuns(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	require.Equal(t, http.StatusOK, status(t, s.Client), "a server without keys is open on the loopback")

	first := createKey(t, dir, "first", "publish,read")
	t.Logf("closed to strangers after %s", becomes(t, s.Client, http.StatusUnauthorized))
	t.Logf("open to the key after %s", becomes(t, s.as(first), http.StatusOK))
	_, err := s.as(first).Publish(t.Context(), []sekali.Event{event("t", "1")})
	require.NoError(t, err)

	second := keysCommand[madeKey](t, "rotate", "first", "--data-dir", dir, "--overlap", "1h")
	becomes(t, s.as(second), http.StatusOK)
	require.Equal(t, http.StatusOK, status(t, s.as(first)), "both work during the overlap")
	third := keysCommand[madeKey](t, "rotate", second.ID, "--data-dir", dir, "--overlap", "0")
	becomes(t, s.as(third), http.StatusOK)
	require.Equal(t, http.StatusUnauthorized, status(t, s.as(first)))
	require.Equal(t, http.StatusUnauthorized, status(t, s.as(second)))

	revoked := keysCommand[[]madeKey](t, "revoke", "first", "--data-dir", dir)
	require.Len(t, revoked, 1)
	t.Logf("revoked after %s", becomes(t, s.as(third), http.StatusUnauthorized))
	require.Equal(t, http.StatusUnauthorized, status(t, s.Client), "without a key that works the server is shut, not open")
	require.NoError(t, s.Ready(t.Context()), "probes need no key")

	fourth := createKey(t, dir, "fourth", "read")
	becomes(t, s.as(fourth), http.StatusOK)
	s.kill()
	s = startServer(t, dir)
	require.Equal(t, http.StatusOK, status(t, s.as(fourth)))
	require.Equal(t, http.StatusUnauthorized, status(t, s.Client))
	listed := keysCommand[[]madeKey](t, "list", "--data-dir", dir)
	require.Len(t, listed, 4)
	for _, k := range listed {
		require.Empty(t, k.Key)
	}
}

func TestKeysThatCannotBeReadNeverOpenTheDoor(t *testing.T) {
	for name, harm := range map[string]func(file string) error{
		"missing":        os.Remove,
		"cut":            func(file string) error { return os.Truncate(file, 50) },
		"empty":          func(file string) error { return os.Truncate(file, 0) },
		"open to others": func(file string) error { return os.Chmod(file, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			key := createKey(t, dir, "k", "read")
			s := startServer(t, dir)
			file := filepath.Join(dir, "keys.json")
			require.NoError(t, harm(file))
			s.logLine("the keys cannot be read: the last ones that could stay in force")
			require.Equal(t, http.StatusUnauthorized, status(t, s.Client))
			require.Equal(t, http.StatusOK, status(t, s.as(key)))
			s.kill()

			p := run(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
			require.Equal(t, 1, p.code, "it does not start")
			require.Contains(t, p.stderr.String(), file)
			require.NotContains(t, p.stderr.String(), key.secret())
			require.Equal(t, 1, run(t, nil, "keys", "list", "--data-dir", dir).code)
			p = run(t, nil, "keys", "create", "--data-dir", dir, "--name", "other", "--scope", "admin")
			require.Equal(t, 1, p.code, "nor are the keys begun anew")
		})
	}
}

func TestAPublicAddressNeedsAKeyOrPermission(t *testing.T) {
	dir := t.TempDir()
	public := []string{"--listen", "0.0.0.0:0", "--data-dir", dir}
	p := run(t, nil, append([]string{"serve"}, public...)...)
	require.Equal(t, 2, p.code)
	require.Contains(t, p.stderr.String(), "sekali keys create --data-dir "+dir)
	require.Equal(t, 0, run(t, nil, append([]string{"check-config", "--allow-anonymous"}, public...)...).code)
	createKey(t, dir, "k", "publish")
	require.Equal(t, 0, run(t, nil, append([]string{"check-config"}, public...)...).code)
	keysCommand[[]madeKey](t, "revoke", "k", "--data-dir", dir)
	require.Equal(t, 0, run(t, nil, append([]string{"check-config"}, public...)...).code, "a server whose keys are all revoked serves nobody, on any address")
	require.NoError(t, os.Truncate(filepath.Join(dir, "keys.json"), 50))
	require.Equal(t, 1, run(t, nil, append([]string{"serve"}, public...)...).code)
}

func TestWrongUsageOfKeysIsNamed(t *testing.T) {
	dir := t.TempDir()
	key := createKey(t, dir, "k", "read")
	for says, args := range map[string][]string{
		"--name":                            {"create", "--scope", "read"},
		"--scope: they should be":           {"create", "--name", "a"},
		"--topic-prefix":                    {"create", "--name", "a", "--scope", "admin", "--topic-prefix", "a"},
		"--expires-in":                      {"create", "--name", "a", "--scope", "read", "--expires-in", "-1h"},
		"is not a rate":                     {"create", "--name", "a", "--scope", "read", "--rate", "fast"},
		"there is an active key \"k\"":      {"create", "--name", "k", "--scope", "read"},
		"--overlap":                         {"rotate", "k", "--overlap", "-1h"},
		"takes one name or id":              {"revoke"},
		"other users of this machine":       {"revoke", key.Key},
		"--data-dir is empty":               {"list", "--data-dir", ""},
		"--output is \"xml\"":               {"list", "--output", "xml"},
		"other users of this machine can r": {"rotate", "k/" + key.Key},
	} {
		p := run(t, []string{"SEKALI_DATA_DIR=" + dir}, append([]string{"keys"}, args...)...)
		require.Equal(t, 2, p.code, args)
		require.Contains(t, p.stderr.String(), says)
		require.NotContains(t, p.stderr.String(), key.secret())
	}
	require.Equal(t, 1, run(t, nil, "keys", "revoke", "nobody", "--data-dir", dir).code)
	require.Len(t, keysCommand[[]madeKey](t, "list", "--data-dir", dir), 1)
}
