package openapitest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Checker compares answers with one description.
type Checker struct {
	spec    *spec
	schemas *schemas

	mu      sync.Mutex
	covered map[string]bool // by answer.name
}

// New reads the description, and fails the test when it is not a sound OpenAPI
// 3.1 document: against the published schema, with every reference resolving
// and every schema compiling.
func New(t testing.TB, document []byte) *Checker {
	t.Helper()
	c, err := newChecker(document)
	if err != nil {
		t.Fatalf("the OpenAPI description is not sound: %v", err)
	}
	return c
}

func newChecker(document []byte) (*Checker, error) {
	schemas, root, err := newSchemas(document)
	if err != nil {
		return nil, err
	}
	spec, err := newSpec(root)
	if err != nil {
		return nil, err
	}
	c := &Checker{spec: spec, schemas: schemas, covered: map[string]bool{}}
	return c, c.compileAll()
}

// Check fails the test when the answer is not one that the description has
// for this request. path is as sent: escaped, with or without a query. For a
// request without a readable first line, method and path are empty.
func (c *Checker) Check(t testing.TB, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	if err := c.Verify(method, path, status, header, body); err != nil {
		t.Errorf("%s %s: the answer is not as described: %v\nstatus: %d\nbody: %.2000s", method, path, err, status, body)
	}
}

// Verify is Check with the verdict as an error. An answer that passes counts
// as covered.
func (c *Checker) Verify(method, path string, status int, header http.Header, body []byte) error {
	answer, err := c.spec.find(method, path, status)
	if err != nil {
		return err
	}
	if err := c.verifyHeaders(answer.node, header); err != nil {
		return err
	}
	// An answer to HEAD is the one to GET without its body.
	if method != http.MethodHead {
		if err := c.verifyBody(answer.node, header.Get("Content-Type"), body); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.covered[answer.name] = true
	return nil
}

// Covered returns the described answers that were seen, as
// "METHOD /path status", sorted. The method and path of an answer of
// x-every-operation are "*".
func (c *Checker) Covered() []string { return c.names(true) }

// Uncovered returns the described answers that were never seen, in the form of
// Covered.
func (c *Checker) Uncovered() []string { return c.names(false) }

func (c *Checker) names(covered bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, a := range c.spec.answers() {
		if c.covered[a.name] == covered {
			names = append(names, a.name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *Checker) verifyHeaders(response node, header http.Header) error {
	for name, described := range response.get("headers").children() {
		values := header.Values(name)
		if len(values) == 0 && described.get("required").value == true {
			return fmt.Errorf("the header %s is missing", name)
		}
		for _, value := range values {
			if err := c.schemas.validate(described.get("schema"), value); err != nil {
				return fmt.Errorf("header %s is %q: %w", name, value, err)
			}
		}
	}
	return nil
}

// answer is one described response; several answers may share a node.
type answer struct {
	name string
	node node
}

func answerName(method, template, status string) string {
	return strings.Join([]string{method, template, status}, " ")
}

// find returns the answer that the description has for a request and a status.
func (s *spec) find(method, path string, status int) (answer, error) {
	code := strconv.Itoa(status)
	path, _, _ = strings.Cut(path, "?")
	template, item := s.match(path)
	operation := item.get(operationKey(method))
	if found := operation.get("responses").get(code); found.exists() {
		return answer{answerName(operationMethod(method), template, code), found}, nil
	}
	found := s.everyOperation.get(code)
	switch {
	case !found.exists():
	case code == "404" && item.exists():
		return answer{}, fmt.Errorf("status 404 is not described for %s", template)
	case code == "405" && operation.exists():
		return answer{}, fmt.Errorf("status 405 although %s %s is described", method, template)
	default:
		return answer{answerName("*", "*", code), found}, nil
	}
	if !operation.exists() {
		return answer{}, fmt.Errorf("%s %s is not described, nor is status %s for whatever is not", method, path, code)
	}
	return answer{}, fmt.Errorf("status %s is not described for %s %s", code, method, template)
}

// operationMethod is the method whose description holds for method.
func operationMethod(method string) string {
	if method == http.MethodHead {
		return http.MethodGet
	}
	return method
}

func operationKey(method string) string { return strings.ToLower(operationMethod(method)) }
