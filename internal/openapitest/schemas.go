package openapitest

import (
	"bytes"
	_ "embed" // for the published schema below
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// publishedSchema is the OpenAPI Initiative's schema of OpenAPI 3.1 documents,
// version 2022-10-07, Apache-2.0.
//
//go:embed oas31-schema.json
var publishedSchema []byte

// The names under which the compiler knows the two documents. Nothing is
// fetched from anywhere.
const (
	documentURL  = "sekali:openapi.json"
	publishedURL = "sekali:oas31-schema.json"
)

// schemas compiles and applies the schemas of a description.
type schemas struct {
	mu       sync.Mutex // guards both; the compiler is not safe for parallel use
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by JSON pointer
}

// newSchemas parses the description and holds it against the published schema.
func newSchemas(document []byte) (*schemas, node, error) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, node{}, fmt.Errorf("parse: %w", err)
	}
	published, err := jsonschema.UnmarshalJSON(bytes.NewReader(publishedSchema))
	if err != nil {
		return nil, node{}, fmt.Errorf("parse the published schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	if err := errors.Join(compiler.AddResource(publishedURL, published), compiler.AddResource(documentURL, root)); err != nil {
		return nil, node{}, err
	}
	rules, err := compiler.Compile(publishedURL)
	if err != nil {
		return nil, node{}, fmt.Errorf("compile the published schema: %w", err)
	}
	if err := rules.Validate(root); err != nil {
		return nil, node{}, err
	}
	return &schemas{compiler: compiler, compiled: map[string]*jsonschema.Schema{}}, node{root, root, ""}, nil
}

// at returns the compiled schema that stands at a node.
func (s *schemas) at(n node) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema, ok := s.compiled[n.pointer]; ok {
		return schema, nil
	}
	fragment := url.URL{Fragment: n.pointer}
	schema, err := s.compiler.Compile(documentURL + fragment.String())
	if err != nil {
		return nil, err
	}
	s.compiled[n.pointer] = schema
	return schema, nil
}

// validate applies the schema at a node. A node that does not exist has no
// rules.
func (s *schemas) validate(n node, value any) error {
	if !n.exists() {
		return nil
	}
	schema, err := s.at(n)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// noLoader refuses references out of the description.
type noLoader struct{}

// Load always fails.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s: references to other documents are not followed", url)
}
