package httpserver_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/access"
	"sekali/httpserver"
	"sekali/internal/prove"
)

// permitted is what each kind of sender gets from a route: the status.
type permitted struct {
	path, body string
	stranger   int // without a valid key, in whatever way
	publish    int
	read       int
	admin      int
	// own has publish and read for topics that begin with "own.", and asks for another.
	own int
}

// matrix has a line for every route.
var matrix = map[string]permitted{
	"POST /publish":                         {"/publish", exampleEvent, 401, 200, 403, 403, 403},
	"POST /publish/batch":                   {"/publish/batch", exampleEvent, 401, 200, 403, 403, 403},
	"GET /events":                           {"/events?limit=1", "", 401, 403, 200, 403, 403},
	"GET /topics":                           {"/topics", "", 401, 403, 200, 403, 200}, // its own ones
	"GET /topics/{topic}/events/{event_id}": {"/topics/user.created/events/evt-001", "", 401, 403, 200, 403, 403},
	"GET /stats":                            {"/stats", "", 401, 403, 200, 403, 403},
	"GET /health":                           {"/health", "", 200, 200, 200, 200, 200},
	"GET /healthz":                          {"/healthz", "", 200, 200, 200, 200, 200},
	"GET /readyz":                           {"/readyz", "", 200, 200, 200, 200, 200},
	"GET /version":                          {"/version", "", 401, 200, 200, 200, 200},
	"GET /admin/keys":                       {"/admin/keys", "", 401, 403, 403, 200, 403},
	"POST /admin/keys":                      {"/admin/keys", "{}", 401, 403, 403, 422, 403},
	"DELETE /admin/keys/{key}":              {"/admin/keys/nobody", "", 401, 403, 403, 404, 403},
	"POST /admin/keys/{key}/rotate":         {"/admin/keys/nobody/rotate", "", 401, 403, 403, 404, 403},
	"GET /openapi.json":                     {"/openapi.json", "", 200, 200, 200, 200, 200},
	"GET /docs":                             {"/docs", "", 200, 200, 200, 200, 200},
	"GET /docs/{rest...}":                   {"/docs/init.js", "", 200, 200, 200, 200, 200},
	"GET /":                                 {"/", "", 200, 200, 200, 200, 200},
	// Where nothing is: strangers do not learn that.
	"GET /nowhere":     {"/nowhere", "", 401, 404, 404, 404, 404},
	"DELETE /publish":  {"/publish", "", 401, 405, 405, 405, 405},
	"POST /stats":      {"/stats", "", 401, 405, 405, 405, 405},
	"OPTIONS /publish": {"/publish", "", 401, 405, 405, 405, 405},
}

// sender is one way of coming, with the column of the matrix that it belongs to.
type sender struct {
	name   string
	header []string
	gets   func(permitted) int
}

// senders makes keys and returns every way to come without a good one, and the
// good ones.
func senders(t testing.TB, l *locked) []sender {
	t.Helper()
	expired := l.expired(t, "expired")
	good, token := l.create(t, access.Spec{Name: "good", Scopes: access.Scopes()})
	revoked := l.key(t, "revoked", access.Scopes()...)
	_, err := l.guard.Revoke("revoked")
	require.NoError(t, err)
	other := l.key(t, "other", access.Scopes()...)
	text := token.Reveal()
	var all []sender
	for name, header := range map[string][]string{
		"no key":                     nil,
		"an empty header":            {"Authorization: "},
		"no scheme":                  {"Authorization: " + text},
		"another scheme":             {"Authorization: Basic " + text},
		"an empty key":               {"Authorization: Bearer"},
		"no key at all":              {"Authorization: Bearer null"},
		"half a key":                 {good[:len(good)-10]},
		"a key and more":             {good + "x"},
		"an unknown id":              {"Authorization: Bearer sek_000000000000_" + text[17:]},
		"a wrong secret":             {good[:len(good)-43] + other[len(other)-43:]},
		"two keys":                   {good, other},
		"a key in another header":    {"X-Api-Key: " + text},
		"a revoked key":              {revoked},
		"an expired key":             {expired},
		"the id alone":               {"Authorization: Bearer " + token.ID()},
		"the hash in place of a key": {fmt.Sprintf("Authorization: Bearer %x", token.Hash())},
	} {
		all = append(all, sender{name, header, func(p permitted) int { return p.stranger }})
	}
	ownOnly, _ := l.create(t, access.Spec{Name: "own", Scopes: []access.Scope{access.Publish, access.Read}, TopicPrefixes: []string{"own."}})
	return append(
		all,
		sender{"publish", []string{l.key(t, "publish", access.Publish)}, func(p permitted) int { return p.publish }},
		sender{"read", []string{strings.Replace(l.key(t, "read", access.Read), "Bearer ", "bearer  ", 1)}, func(p permitted) int { return p.read }},
		sender{"admin", []string{l.key(t, "admin", access.Admin)}, func(p permitted) int { return p.admin }},
		sender{"own topics", []string{ownOnly}, func(p permitted) int { return p.own }},
	)
}

// mismatches asks every route as every sender and returns what differs from
// the matrix.
func (n *node) mismatches(all []sender) (list []string, asked int) {
	n.t.Helper()
	for _, s := range all { // so that there is something to read
		if s.name == "publish" {
			require.Equal(n.t, http.StatusOK, n.do("POST", "/publish", exampleEvent, s.header...).status)
		}
	}
	for _, request := range slices.Sorted(maps.Keys(matrix)) {
		want := matrix[request]
		method, _, _ := strings.Cut(request, " ")
		for _, s := range all {
			asked++
			a := n.do(method, want.path, want.body, s.header...)
			if a.status != s.gets(want) {
				list = append(list, fmt.Sprintf("%s by %s: %d instead of %d", request, s.name, a.status, s.gets(want)))
			}
			if a.status == http.StatusUnauthorized && (a.header.Get("WWW-Authenticate") == "" || a.header.Get("Allow") != "") {
				list = append(list, fmt.Sprintf("%s by %s: its 401 has other headers than it should", request, s.name))
			}
		}
	}
	return list, asked
}

func TestFault12AuthMatrix(t *testing.T) {
	for _, route := range httpserver.Routes() {
		require.Contains(t, matrix, route, "every route has a line in the matrix: decide who may ask it")
	}
	l := withKeys(t, access.Options{})
	all := senders(t, l)
	n := start(t, l.setup)
	wrong, asked := n.mismatches(all)
	require.Empty(t, wrong)
	n.requireOnly(all, 1)
	prove.Report(t, prove.Result{Row: 12, Figures: []prove.Figure{
		{Name: "requests", Value: float64(asked)},
		{Name: "routes", Value: float64(len(httpserver.Routes()))},
		{Name: "ways to come", Value: float64(len(all))},
		{Name: "wrong answers", Value: float64(len(wrong))},
	}})
}

// requireOnly checks, as the one who may, how many events are stored.
func (n *node) requireOnly(all []sender, unique int64) {
	n.t.Helper()
	for _, s := range all {
		if s.name == "read" {
			require.Equal(n.t, unique, as[stats](n.t, n.do("GET", "/stats", "", s.header...)).UniqueProcessed)
		}
	}
}

// TestFault12ControlAuthMatrix asks a server that forgot its keys: the matrix
// sees every stranger who gets in.
func TestFault12ControlAuthMatrix(t *testing.T) {
	l := withKeys(t, access.Options{})
	all := senders(t, l)
	n := start(t, setup{})
	wrong, asked := n.mismatches(all)
	strangersIn := 0
	for _, line := range wrong {
		if strings.Contains(line, "instead of 401") {
			strangersIn++
		}
	}
	ways, shut := len(all)-4, 0
	for _, p := range matrix {
		if p.stranger == http.StatusUnauthorized {
			shut++
		}
	}
	require.Equal(t, ways*shut, strangersIn, "each of them is seen")
	prove.Report(t, prove.Result{Row: 12, Control: true, Figures: []prove.Figure{
		{Name: "requests", Value: float64(asked)}, {Name: "wrong answers seen", Value: float64(len(wrong))},
	}})
}
