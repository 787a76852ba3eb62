package httpserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/httpserver"
)

// exchange is a request whose answer is written down.
type exchange struct {
	method, path, body string
	header             []string
}

// golden holds the answers to some requests, one after the other, against
// testdata/<name>.golden.
func (n *node) golden(name string, exchanges ...exchange) {
	n.t.Helper()
	var text strings.Builder
	for _, e := range exchanges {
		a := n.do(e.method, e.path, e.body, e.header...)
		fmt.Fprintf(&text, "> %s %s\n", e.method, e.path)
		for _, line := range e.header {
			fmt.Fprintf(&text, "> %s\n", line)
		}
		if e.body != "" {
			fmt.Fprintf(&text, ">\n> %s\n", strings.ReplaceAll(e.body, "\n", "\n> "))
		}
		fmt.Fprintf(&text, "< %d %s\n", a.status, http.StatusText(a.status))
		for _, header := range []string{"Content-Type", "Allow", "Link", "Preference-Applied", "Retry-After"} {
			if value := a.header.Get(header); value != "" {
				fmt.Fprintf(&text, "< %s: %s\n", header, value)
			}
		}
		fmt.Fprintf(&text, "<\n%s\n", still(a.body))
	}
	compareFile(n.t, filepath.Join("testdata", name+".golden"), text.String())
}

// volatile are the parts of an answer that differ from run to run.
var volatile = []struct {
	pattern *regexp.Regexp
	value   string
}{
	{regexp.MustCompile(`"(processed_at|first_seen|last_seen|last_duplicate|started_at)":"[^"]*"`), `"$1":"2025-10-24T10:30:00.000000Z"`},
	{regexp.MustCompile(`"uptime_seconds":[0-9.]+`), `"uptime_seconds":1.5`},
	{regexp.MustCompile(`"goroutines":[0-9]+`), `"goroutines":20`},
	{regexp.MustCompile(`"request_id":"[^"]*"`), `"request_id":"ABCDEFGHIJ-1"`},
}

func still(body []byte) string {
	text := string(body)
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.value)
	}
	return text
}

func compareFile(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "%s; go test ./httpserver -update rewrites it", path)
}

const (
	exampleEvent = `{"topic":"user.created","event_id":"evt-001","timestamp":"2025-10-24T10:30:00Z","source":"user-service","payload":{"user_id": "123"}}`
	otherEvent   = `{"topic":"user.created","event_id":"evt-001","timestamp":"2025-10-24T10:31:00Z","source":"user-service","payload":{"user_id": "123"}}`
	secondEvent  = `{"topic":"user.created","event_id":"evt-002","timestamp":"2025-10-24T12:30:00+02:00","source":"user-service","payload":{}}`
	faultyEvent  = `{"topic":"user.created","event_id":"","timestamp":"24.10.2025","payload":[]}`
)

func TestGoldenPublish(t *testing.T) {
	n := start(t, setup{})
	post := func(body string, header ...string) exchange { return exchange{"POST", "/publish", body, header} }
	n.golden("publish",
		post(exampleEvent, "Content-Type: application/json"),
		post(exampleEvent),
		post(otherEvent),
		post("["+secondEvent+",\n"+exampleEvent+"]"),
		post(`{"events":[`+secondEvent+`]}`, "Prefer: return=minimal"),
		post("["+secondEvent+",\n"+faultyEvent+"]", "Prefer: handling=lenient"),
		post("["+faultyEvent+"]", "Prefer: handling=lenient, return=minimal"),
		post("[]"),
	)
}

func TestGoldenReads(t *testing.T) {
	n := start(t, setup{})
	get := func(path string, header ...string) exchange { return exchange{"GET", path, "", header} }
	n.publishBody("[" + exampleEvent + "," + secondEvent + "," + exampleEvent + "," + otherEvent + "]")
	n.publishBody(strings.ReplaceAll(secondEvent, "user.", "order."))
	n.golden("events",
		get("/events"),
		get("/events?topic=user.created&limit=1"),
		get("/events?topic=user.created&limit=1&after=1"),
		get("/events?order=desc", "Accept: application/x-ndjson"),
		get("/events?topic=nobody"),
		get("/topics/user.created/events/evt-001"),
		get("/topics/user.created/events/evt-002"),
	)
	n.golden("info", get("/"), get("/stats"), get("/topics"), get("/topics?limit=1"), get("/health"), get("/healthz"), get("/readyz"), get("/version"))
}

func TestGoldenErrors(t *testing.T) {
	s := setup{}
	s.http.MaxBatchEvents = 2
	n := start(t, s)
	post := func(body string, header ...string) exchange { return exchange{"POST", "/publish", body, header} }
	get := func(path string) exchange { return exchange{"GET", path, "", nil} }
	n.golden("errors",
		post(`{"topic":`),
		post(exampleEvent+"x"),
		post(`{"topic": undefined}`),
		post(faultyEvent),
		post("["+exampleEvent+","+faultyEvent+"]"),
		post(`{"events":[`+faultyEvent+`]}`),
		post(`{"events":1}`),
		post(`"event"`),
		post("["+exampleEvent+","+exampleEvent+","+exampleEvent+"]"),
		post(exampleEvent, "Content-Type: text/plain"),
		post(exampleEvent, "Content-Type: application/json; charset=latin1"),
		post(exampleEvent, "Content-Encoding: br"),
		get("/events?limit=0&order=up&since=now"),
		get("/topics?limit=x"),
		get("/topics/a/events/1"),
		get("/nowhere"),
		get("/publish"),
		exchange{"DELETE", "/events", "", nil},
	)
}

func TestTheEndpointsThatTheRootNamesExist(t *testing.T) {
	n := start(t, setup{})
	root := as[struct{ Endpoints []string }](t, n.do("GET", "/", ""))
	require.NotEmpty(t, root.Endpoints)
	for _, endpoint := range root.Endpoints {
		method, path, _ := strings.Cut(endpoint, " ")
		a := n.do(method, strings.NewReplacer("{topic}", "a", "{event_id}", "1").Replace(path), "")
		require.NotEqual(t, http.StatusMethodNotAllowed, a.status)
		if a.status == http.StatusNotFound {
			require.Contains(t, string(a.body), "no such event")
		}
	}
}

func TestTheDescriptionAndItsPageAreServed(t *testing.T) {
	n := start(t, setup{})
	a := n.do("GET", "/openapi.json", "")
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.True(t, json.Valid(a.body))
	page := n.do("GET", "/docs", "")
	require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	require.Contains(t, page.header.Get("Content-Security-Policy"), "default-src 'none'")
	assets := regexp.MustCompile(`(?:src|href)="(?:\./)?(/?docs/[^"]+)"`).FindAllStringSubmatch(string(page.body), -1)
	require.NotEmpty(t, assets)
	for _, asset := range assets {
		a := n.do("GET", "/"+strings.TrimPrefix(asset[1], "/"), "")
		require.Equal(t, http.StatusOK, a.status, "%s", asset[1])
		require.NotEmpty(t, a.header.Get("Content-Type"))
	}
}

func TestEveryAnswerKeepsBrowsersFromGuessing(t *testing.T) {
	n := start(t, setup{})
	for _, path := range []string{"/", "/stats", "/nowhere", "/docs", "/publish"} {
		a := n.do("GET", path, "")
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
		require.Contains(t, a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Empty(t, a.header.Get("Server"))
		require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
	}
}

// TestGeneratedErrorReferenceIsUpToDate keeps docs/errors.md equal to the table.
func TestGeneratedErrorReferenceIsUpToDate(t *testing.T) {
	var text strings.Builder
	text.WriteString(`# Errors

Every error has one shape; ` + "`detail`" + ` is a text, or for ` + "`invalid_event`, `invalid_query` and `invalid_key`" + ` a list of faults:

` + "```json" + `
{"code": "not_found", "detail": "there is no such event", "request_id": "ABCDEFGHIJ-1"}
` + "```" + `

` + "`code`" + ` is stable and made for programs, ` + "`detail`" + ` is made for people and may change. ` + "`request_id`" + ` is also in the
header ` + "`X-Request-Id`" + ` and in the server's log. Where a retry may help, ` + "`Retry-After`" + ` says when. Sending events again
is always safe when they keep their ids.

`)
	text.WriteString("| code | status | meaning | what to do |\n|---|---|---|---|\n")
	for _, e := range httpserver.ErrorTable {
		fmt.Fprintf(&text, "| `%s` | %d | %s | %s |\n", e.Code, e.Status, e.Meaning, e.Advice)
	}
	text.WriteString("\nGenerated from `httpserver.ErrorTable` by `go test ./httpserver -run TestGeneratedErrorReferenceIsUpToDate -update`.\n")
	compareFile(t, filepath.Join("..", "docs", "errors.md"), text.String())

	require.True(t, slices.IsSortedFunc(httpserver.ErrorTable, func(a, b httpserver.ErrorInfo) int { return a.Status - b.Status }))
	seen := map[string]bool{}
	for _, e := range httpserver.ErrorTable {
		require.False(t, seen[string(e.Code)], "%s is there twice", e.Code)
		seen[string(e.Code)] = true
	}
}
