// Package httpserver is Sekali's HTTP API on fasthttp: it turns requests into
// calls of the domain and answers into JSON.
//
// It guarantees that nothing of a refused request reaches the domain, that no
// byte of a request buffer outlives its handler (fasthttp reuses them), that
// every answer carries X-Request-Id and every error the shape that
// docs/errors.md describes, and that a panic in a handler ends that request
// only. Types of fasthttp do not leave the package. A Server may be used from
// any goroutine.
package httpserver
