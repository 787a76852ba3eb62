package openapitest

import (
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// methods are the keys of a path item that are operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// spec is the part of a description that says which answers there are.
type spec struct {
	root           node
	paths          node
	templates      []string // most specific first
	everyOperation node     // the responses of x-every-operation
}

func newSpec(root node) (*spec, error) {
	s := &spec{
		root:           root,
		paths:          root.get("paths"),
		everyOperation: root.get("x-every-operation").get("responses"),
	}
	for template := range s.paths.children() {
		s.templates = append(s.templates, template)
	}
	// OpenAPI lets a fixed segment win over a parameter.
	slices.SortFunc(s.templates, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "{", "\x7f"), strings.ReplaceAll(b, "{", "\x7f"))
	})
	return s, s.checkOperations()
}

// checkOperations looks for what the published schema cannot see.
func (s *spec) checkOperations() error {
	seen := map[string]string{}
	for operation := range s.operations() {
		id, _ := operation.node.get("operationId").value.(string)
		if other, ok := seen[id]; ok || id == "" {
			return fmt.Errorf("operationId %q of %s is missing or also that of %q", id, operation.name, other)
		}
		seen[id] = operation.name
		if err := checkPathParameters(operation); err != nil {
			return err
		}
	}
	return nil
}

func checkPathParameters(operation answer) error {
	declared := map[string]bool{}
	for _, p := range operation.node.get("parameters").children() {
		if p.get("in").value == "path" {
			declared["{"+fmt.Sprint(p.get("name").value)+"}"] = true
		}
	}
	for segment := range strings.SplitSeq(operation.name, "/") {
		if isParameter(segment) && !declared[segment] {
			return fmt.Errorf("%s does not describe its parameter %s", operation.name, segment)
		}
		delete(declared, segment)
	}
	if len(declared) > 0 {
		return fmt.Errorf("%s describes parameters that its path does not have: %v", operation.name, slices.Collect(maps.Keys(declared)))
	}
	return nil
}

// operations yields every operation, named "METHOD /path".
func (s *spec) operations() iter.Seq[answer] {
	return func(yield func(answer) bool) {
		for _, template := range s.templates {
			for _, method := range methods {
				operation := s.paths.get(template).get(method)
				if operation.exists() && !yield(answer{strings.ToUpper(method) + " " + template, operation}) {
					return
				}
			}
		}
	}
}

// answers returns every described answer.
func (s *spec) answers() []answer {
	var all []answer
	for operation := range s.operations() {
		for status, response := range operation.node.get("responses").children() {
			all = append(all, answer{operation.name + " " + status, response})
		}
	}
	for status, response := range s.everyOperation.children() {
		all = append(all, answer{answerName("*", "*", status), response})
	}
	return all
}

// match returns the path item for an escaped path; it does not exist when no
// template fits.
func (s *spec) match(path string) (template string, item node) {
	for _, template := range s.templates {
		if matches(template, path) {
			return template, s.paths.get(template)
		}
	}
	return "", node{}
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		value, err := url.PathUnescape(got[i])
		if err != nil {
			return false
		}
		if want[i] != value && (!isParameter(want[i]) || value == "") {
			return false
		}
	}
	return true
}

func isParameter(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}
