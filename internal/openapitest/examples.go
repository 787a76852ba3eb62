package openapitest

import (
	"fmt"
	"testing"
)

// CheckExamples fails the test for every example in the description that
// breaks the schema beside it, and when there is none to check.
func (c *Checker) CheckExamples(t testing.TB) {
	t.Helper()
	checked := 0
	c.walk(c.spec.root, func(n node) {
		schema := n.get("schema")
		if !schema.exists() {
			return
		}
		for name, example := range examples(n) {
			checked++
			if err := c.schemas.validate(schema, example); err != nil {
				t.Errorf("example %q at %s: %v", name, n.pointer, err)
			}
		}
	})
	if checked == 0 {
		t.Errorf("the description has no examples")
	}
}

// examples returns the values of example and examples of a media type, a
// parameter or a header.
func examples(n node) map[string]any {
	found := map[string]any{}
	if single := n.get("example"); single.exists() {
		found["example"] = single.value
	}
	for name, example := range n.get("examples").children() {
		found[name] = example.get("value").value
	}
	return found
}

// compileAll compiles every schema that stands beside content, parameters and
// headers, and all named ones, so that a broken one is found at once.
func (c *Checker) compileAll() error {
	var broken error
	compile := func(n node) {
		if _, err := c.schemas.at(n); err != nil && broken == nil {
			broken = fmt.Errorf("schema at %s: %w", n.pointer, err)
		}
	}
	for _, named := range c.spec.root.get("components").get("schemas").children() {
		compile(named)
	}
	c.walk(c.spec.root, func(n node) {
		if ref, ok := member(n.value, "$ref"); ok && broken == nil && !n.follow().exists() {
			broken = fmt.Errorf("reference %v at %s leads nowhere", ref, n.pointer)
		}
		if schema := n.get("schema"); schema.exists() {
			compile(schema)
		}
	})
	return broken
}

// walk visits every object of the description as it is written, without
// following references and without entering examples.
func (c *Checker) walk(n node, visit func(node)) {
	object, isObject := n.value.(map[string]any)
	if isObject {
		visit(n)
	}
	for key := range object {
		if key != "example" && key != "examples" {
			c.walk(node{n.root, object[key], n.pointer + "/" + escapePointer(key)}, visit)
		}
	}
	list, _ := n.value.([]any)
	for i, value := range list {
		c.walk(node{n.root, value, fmt.Sprintf("%s/%d", n.pointer, i)}, visit)
	}
}
