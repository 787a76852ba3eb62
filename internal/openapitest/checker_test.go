package openapitest_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/openapitest"
)

// shop is a small description with one of everything that Sekali's has.
func shop(t testing.TB) []byte {
	t.Helper()
	document, err := os.ReadFile("testdata/shop.json")
	require.NoError(t, err)
	return document
}

// header makes the header of an answer of the shop; pairs are names and values.
func header(contentType string, pairs ...string) http.Header {
	h := http.Header{"Content-Type": {contentType}, "X-Request-Id": {"r1"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

const (
	item     = `{"id": 7, "made": "2025-10-24T10:30:00Z"}`
	notFound = `{"code": "not_found"}`
)

func TestVerifyAcceptsWhatIsDescribed(t *testing.T) {
	tests := []struct {
		name, method, path string
		status             int
		header             http.Header
		body               string
	}{
		{"an object", "GET", "/items/7", 200, header("application/json"), item},
		{"a content type with its charset", "GET", "/items/7", 200, header("application/json; charset=utf-8"), item},
		{"a query beside the path", "GET", "/items?limit=1", 200, header("application/json"), "[" + item + "]"},
		{"lines", "GET", "/items", 200, header("application/x-ndjson"), item + "\n" + item + "\n"},
		{"no lines at all", "GET", "/items", 200, header("application/x-ndjson"), ""},
		{"an optional header with a good value", "GET", "/items", 200, header("application/json", "Link", "<x>"), "[]"},
		{"a fixed path before a parameter", "GET", "/items/count", 200, header("text/plain"), "12"},
		{"an escaped slash inside a parameter", "GET", "/items/a%2Fb", 200, header("application/json"), item},
		{"HEAD as GET without a body", "HEAD", "/items/7", 200, header("application/json"), ""},
		{"an empty answer where no content is described", "DELETE", "/items/7", 204, header(""), ""},
		{"an unknown path", "GET", "/nowhere", 404, header("application/json"), notFound},
		{"an unknown method", "PATCH", "/items", 405, header("application/json", "Allow", "GET"), `{"code": "method_not_allowed"}`},
		{"a refusal before the path is known", "", "", 400, header("application/json"), `{"code": "malformed"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := openapitest.New(t, shop(t))
			c.Check(t, tt.method, tt.path, tt.status, tt.header, []byte(tt.body))
			require.Len(t, c.Covered(), 1)
		})
	}
}

func TestVerifyRefusesWhatIsNotDescribed(t *testing.T) {
	tests := []struct {
		name, method, path string
		status             int
		header             http.Header
		body, complaint    string
	}{
		{"a missing field", "GET", "/items/7", 200, header("application/json"), `{"id": 7}`, "made"},
		{"a field of the wrong type", "GET", "/items/7", 200, header("application/json"), `{"id": "7", "made": "2025-10-24T10:30:00Z"}`, "/id"},
		{"a field that is not described", "GET", "/items/7", 200, header("application/json"), `{"id": 7, "made": "2025-10-24T10:30:00Z", "x": 1}`, "additional properties"},
		{"a broken format", "GET", "/items/7", 200, header("application/json"), `{"id": 7, "made": "yesterday"}`, "date-time"},
		{"a body that is cut off", "GET", "/items/7", 200, header("application/json"), `{"id": 7`, "not JSON"},
		{"a body with something behind it", "GET", "/items/7", 200, header("application/json"), item + item, "not JSON"},
		{"a wrong object in a list", "GET", "/items", 200, header("application/json"), "[" + item + `, {"id": 8}]`, "made"},
		{"a wrong line", "GET", "/items", 200, header("application/x-ndjson"), item + "\n{}\n", "line 2"},
		{"a last line without an end", "GET", "/items", 200, header("application/x-ndjson"), item, "last line"},
		{"an empty text", "GET", "/items/count", 200, header("text/plain"), "", "empty"},
		{"an undescribed status", "GET", "/items/7", 500, header("application/json"), `{"code": "internal"}`, "status 500 is not described"},
		{"404 for a path that cannot miss", "GET", "/items", 404, header("application/json"), notFound, "status 404 is not described"},
		{"405 for a method that is described", "GET", "/items", 405, header("application/json", "Allow", "GET"), `{"code": "method_not_allowed"}`, "405 although"},
		{"a success of an unknown path", "GET", "/nowhere", 200, header("application/json"), item, "is not described"},
		{"an error with the code of another", "GET", "/nowhere", 404, header("application/json"), `{"code": "malformed"}`, "/code"},
		{"an undescribed content type", "GET", "/items/7", 200, header("text/html"), item, "text/html"},
		{"no content type", "GET", "/items/7", 200, header(""), item, "content type"},
		{"another charset", "GET", "/items/7", 200, header("application/json; charset=latin1"), item, "UTF-8"},
		{"a body where none is described", "DELETE", "/items/7", 204, header("application/json"), "{}", "none is described"},
		{"no request id", "GET", "/items/7", 200, http.Header{"Content-Type": {"application/json"}}, item, "X-Request-Id is missing"},
		{"an optional header with a bad value", "GET", "/items", 200, header("application/json", "Link", "x"), "[]", "header Link"},
		{"405 without Allow", "PATCH", "/items", 405, header("application/json"), `{"code": "method_not_allowed"}`, "Allow is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := openapitest.New(t, shop(t))
			err := c.Verify(tt.method, tt.path, tt.status, tt.header, []byte(tt.body))
			require.ErrorContains(t, err, tt.complaint)
			require.Empty(t, c.Covered(), "a wrong answer must not count as covered")
		})
	}
}

// recorder stands in for the test that a Checker fails.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func TestCheckFailsTheTestWithTheAnswerInItsMessage(t *testing.T) {
	c := openapitest.New(t, shop(t))
	failing := &recorder{TB: t}
	c.Check(failing, "GET", "/items/7", 200, header("application/json"), []byte(`{"id": 7}`))
	require.Len(t, failing.failures, 1)
	require.Contains(t, failing.failures[0], "GET /items/7")
	require.Contains(t, failing.failures[0], `{"id": 7}`)
}

func TestUncoveredNamesTheAnswersThatWereNeverSeen(t *testing.T) {
	c := openapitest.New(t, shop(t))
	all := []string{
		"* * 400", "* * 404", "* * 405", "DELETE /items/{id} 204",
		"GET /items 200", "GET /items/count 200", "GET /items/{id} 200", "GET /items/{id} 404",
	}
	require.Empty(t, c.Covered())
	require.Equal(t, all, c.Uncovered())

	c.Check(t, "GET", "/items/8", 404, header("application/json"), []byte(notFound))
	c.Check(t, "GET", "/items", 200, header("application/json"), []byte("[]"))
	require.Equal(t, []string{"GET /items 200", "GET /items/{id} 404"}, c.Covered())
	require.Len(t, c.Uncovered(), len(all)-2)
}

func TestNewRefusesADescriptionThatIsNotSound(t *testing.T) {
	tests := []struct{ name, old, replacement, complaint string }{
		{"no JSON", `{`, `[`, "parse"},
		{"not OpenAPI 3.1", `"openapi": "3.1.0"`, `"openapi": "3.0.0"`, "/openapi"},
		{"a response without a description", `"description": "All."`, `"summary": "All."`, "description"},
		{"a reference that leads nowhere", `"#/components/schemas/Item"`, `"#/components/schemas/Thing"`, "Thing"},
		{"a reference to a response that leads nowhere", `"#/components/responses/NotFound"`, `"#/components/responses/Lost"`, "Lost"},
		{"a schema that is none", `"type": "integer"`, `"type": "number of items"`, "type"},
		{"an operationId used twice", `"operationId": "count"`, `"operationId": "list"`, `operationId "list"`},
		{"a path parameter that nobody describes", `"name": "id"`, `"name": "other"`, "{id}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			document := strings.Replace(string(shop(t)), tt.old, tt.replacement, 1)
			failing := &recorder{TB: t}
			require.PanicsWithValue(t, failing, func() { openapitest.New(failing, []byte(document)) })
			require.Contains(t, failing.failures[0], tt.complaint)
		})
	}
}

func TestCheckExamplesFindsAnExampleThatBreaksItsSchema(t *testing.T) {
	openapitest.New(t, shop(t)).CheckExamples(t)

	for _, good := range []string{`"example": {"id": 1,`, `"value": {"id": 2,`, `"example": 3`} {
		t.Run(good, func(t *testing.T) {
			bad := strings.NewReplacer("1,", `"x",`, "2,", `"x",`, "3", `"x"`).Replace(good)
			document := strings.Replace(string(shop(t)), good, bad, 1)
			failing := &recorder{TB: t}
			openapitest.New(t, []byte(document)).CheckExamples(failing)
			require.Len(t, failing.failures, 1)
		})
	}
}
