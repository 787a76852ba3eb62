// Package openapitest holds the answers of a live server against the OpenAPI
// 3.1 description that the server hands out, and remembers which documented
// answers were never seen. Only tests import it.
//
// Schemas are judged by santhosh-tekuri/jsonschema: OpenAPI 3.1 schemas are
// JSON Schema 2020-12, and that library needs one module beside the standard
// library. The validators made for OpenAPI (libopenapi-validator) need
// fourteen, most of them for YAML, XML and OpenAPI 2, which we do not have.
//
// A description may have an object x-every-operation at its root: its
// responses are the answers that any request can get before it reaches an
// operation. There 404 stands for paths and 405 for methods that are not
// described; neither is accepted for an operation that is, unless the
// operation lists it itself.
//
// A Checker may be used by parallel tests.
package openapitest
