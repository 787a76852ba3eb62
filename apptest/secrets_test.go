package apptest_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// search is where a secret must not be: everything that a run of the server
// wrote, said and answered.
type search struct {
	t      testing.TB
	places map[string][]byte
}

func newSearch(t testing.TB) *search { return &search{t: t, places: map[string][]byte{}} }

func (s *search) add(place string, text []byte) {
	s.places[fmt.Sprint(len(s.places), " ", place)] = text
}

// process adds what a process wrote and was started with.
func (s *search) process(name string, p *process) {
	s.add(name+" stdout", []byte(p.stdout.String()))
	s.add(name+" stderr", []byte(p.stderr.String()))
	s.add(name+" arguments", []byte(strings.Join(p.cmd.Args, " ")))
	s.add(name+" environment", []byte(strings.Join(p.cmd.Env, " ")))
}

// dir adds every file below a directory.
func (s *search) dir(dir string) {
	s.t.Helper()
	require.NoError(s.t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		s.add(path, text)
		return err
	}))
}

// hits returns the places with any half of a secret, in any letters.
func (s *search) hits(secrets []string) (hits []string) {
	for place, text := range s.places {
		for i, secret := range secrets {
			lower, whole := bytes.ToLower(text), []byte(strings.ToLower(secret))
			if bytes.Contains(lower, whole[:len(whole)/2]) || bytes.Contains(lower, whole[len(whole)/2:]) {
				hits = append(hits, fmt.Sprintf("secret %d in %s", i, place))
			}
		}
	}
	return hits
}

// bytes returns how much was searched.
func (s *search) bytes() (n int) {
	for _, text := range s.places {
		n += len(text)
	}
	return n
}

// ask sends a request with an Authorization header and returns the answer.
func (s *server) ask(method, path, authorization, body string) (int, []byte) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.StatusCode, text
}

func encoded(t testing.TB, e sekali.Event) string {
	t.Helper()
	body, err := encode(e)
	require.NoError(t, err)
	return string(body)
}

// brokenRequests have a key where none should be.
func brokenRequests(key string) []string {
	host := "Host: 127.0.0.1\r\nConnection: close\r\n"
	return []string{
		"GET /stats HTTP/1.1\r\n" + host + "Authorization Bearer " + key + "\r\n\r\n",
		"GET /stats HTTP/1.1\r\n" + host + "Authorization: Bearer " + key + "\x00\r\n\r\n",
		"GET /stats HTTP/1.1\r\n" + host + "Authorization: Bearer " + key + "\r\n " + key + "\r\n\r\n",
		"GET /stats HTTP/1.1\r\n" + host + "X-Request-Id: " + key + "\r\n\r\n",
		"GET /stats HTTP/1.1\r\n" + host + key + ": x\r\n\r\n",
		"GET /stats HTTP/1.1\r\n" + host + "X: " + strings.Repeat(key, 200) + "\r\n\r\n",
		"GET /stats?key=" + key + " HTTP/1.1\r\n" + host + "\r\n",
		"GET /" + key + " HTTP/1.1\r\n" + host + "\r\n",
		"GET /%73ek_" + key[4:] + " HTTP/1.1\r\n" + host + "\r\n",
		"GET /stats HTTP/1.1\r\nHost: " + key + "\r\nConnection: close\r\n\r\n",
		"GET /stats HTTP/9." + key + "\r\n" + host + "\r\n",
		key + " /stats HTTP/1.1\r\n" + host + "\r\n",
		"Authorization: Bearer " + key + "\r\n\r\n",
		"POST /publish HTTP/1.1\r\n" + host + "Transfer-Encoding: " + key + "\r\n\r\n",
		"POST /publish HTTP/1.1\r\n" + host + "Content-Length: 1" + key + "\r\n\r\nx",
	}
}

// send sends bytes over a connection of its own and returns what comes back.
func (s *server) send(request string) []byte {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	defer func() { _ = conn.Close() }() // the server may have closed it
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, request)
	require.NoError(s.t, err)
	answer, _ := io.ReadAll(conn) // a reset ends it as well
	return answer
}

// everyRequest is each endpoint, and what is none.
func everyRequest(t testing.TB) [][3]string {
	one := encoded(t, event("t", "1"))
	return [][3]string{
		{"POST", "/publish", one},
		{"POST", "/publish", "["},
		{"POST", "/publish/batch", `[{}]`},
		{"GET", "/events", ""},
		{"GET", "/events?limit=x", ""},
		{"GET", "/topics", ""},
		{"GET", "/topics/t/events/1", ""},
		{"GET", "/stats", ""},
		{"GET", "/health", ""},
		{"GET", "/readyz", ""},
		{"GET", "/version", ""},
		{"GET", "/admin/keys", ""},
		{"POST", "/admin/keys", `{"name":"bad name\n"}`},
		{"DELETE", "/admin/keys/nobody", ""},
		{"POST", "/admin/keys/nobody/rotate", ""},
		{"GET", "/openapi.json", ""},
		{"GET", "/docs", ""},
		{"GET", "/", ""},
		{"GET", "/nowhere", ""},
		{"BREW", "/stats", ""},
	}
}

func TestFault12NoSecretInLogs(t *testing.T) {
	dir, found := t.TempDir(), newSearch(t)
	s := startServer(t, dir, "--log-level", "debug")
	full := createKey(t, dir, "full", "publish,read,admin")
	narrow := createKey(t, dir, "narrow", "publish,read", "--topic-prefix", "x.", "--rate", "1/m")
	becomes(t, s.Client, http.StatusUnauthorized)
	becomes(t, s.as(full), http.StatusOK)
	status, answer := s.ask("POST", "/admin/keys", "Bearer "+full.Key, `{"name":"made","scopes":["read"]}`)
	require.Equal(t, http.StatusCreated, status)
	made := decodeKey(t, answer)
	status, answer = s.ask("POST", "/admin/keys/made/rotate", "Bearer "+full.Key, "")
	require.Equal(t, http.StatusCreated, status)
	rotated := decodeKey(t, answer)
	becomes(t, s.as(narrow), http.StatusForbidden) // /stats is not for it

	keys := []madeKey{full, narrow, made, rotated}
	var secrets []string
	requests := 0
	for _, k := range keys {
		secrets = append(secrets, k.secret())
		wrong := k.Key[:len(k.Key)-2]
		for _, authorization := range []string{
			"Bearer " + k.Key, "Bearer " + wrong, "Bearer " + wrong + "xx", "Bearer " + k.Key + "x", "Basic " + k.Key, k.Key, "Bearer  " + k.Key + " ",
			"Bearer " + strings.ToUpper(k.Key), "Bearer sek_000000000000_" + k.secret(),
		} {
			for _, r := range everyRequest(t) {
				_, answer := s.ask(r[0], r[1], authorization, r[2])
				found.add(r[0]+" "+r[1], answer)
				requests++
			}
		}
		_, answer := s.ask("DELETE", "/admin/keys/"+k.Key, "Bearer "+full.Key, "") // a whole key where its id should be
		found.add("DELETE of a whole key", answer)
		for _, request := range brokenRequests(k.Key) {
			found.add("answer to "+request[:20], s.send(request))
			requests++
		}
		for _, args := range [][]string{{"revoke", k.Name}, {"rotate", k.Name}, {"create", "--name", k.Name, "--scope", "read"}} {
			p := run(t, nil, append(append([]string{"keys"}, args...), "--data-dir", dir)...)
			found.add("stderr of keys "+args[0], []byte(p.stderr.String()))
		}
	}
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.wait())
	require.Contains(t, s.stderr.String(), `"msg":"request"`, "the log has every request")
	found.process("server", s.process)
	found.dir(dir)

	hits := found.hits(secrets)
	require.Empty(t, hits)
	prove.Report(t, prove.Result{Row: 12, Figures: []prove.Figure{
		{Name: "requests", Value: float64(requests)},
		{Name: "secrets", Value: float64(len(secrets))},
		{Name: "searched", Value: float64(found.bytes()), Unit: "bytes"},
		{Name: "hits", Value: float64(len(hits))},
	}})
}

// TestFault12ControlNoSecretInLogs plants a secret where the server keeps,
// logs and answers what it is sent; each is found.
func TestFault12ControlNoSecretInLogs(t *testing.T) {
	dir, found := t.TempDir(), newSearch(t)
	s := startServer(t, dir, "--log-level", "debug")
	key := createKey(t, dir, "k", "publish,read")
	becomes(t, s.Client, http.StatusUnauthorized)
	planted := event("t", key.secret()) // an event's id: on disk and in an answer
	status, _ := s.ask("POST", "/publish", "Bearer "+key.Key, encoded(t, planted))
	require.Equal(t, http.StatusOK, status)
	_, answer := s.ask("GET", "/events", "Bearer "+key.Key, "")
	found.add("answer", answer)
	s.ask("GET", "/nowhere/"+key.secret(), "Bearer "+key.Key, "") // a path: in the log
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.wait())
	found.process("server", s.process)
	found.dir(dir)
	hits := strings.Join(found.hits([]string{key.secret()}), "\n")
	for _, place := range []string{"answer", "stderr", "sekali.db"} {
		require.Contains(t, hits, place)
	}
	prove.Report(t, prove.Result{Row: 12, Control: true, Figures: []prove.Figure{{Name: "places with the planted secret", Value: float64(strings.Count(hits, "\n") + 1)}}})
}
