// Package webui holds what a browser or a code generator asks the server for:
// the OpenAPI description and the page that shows it. Everything is embedded
// in the binary and nothing is loaded from outside, so the page works without
// a network and under a strict Content-Security-Policy. All functions may be
// called from any goroutine.
package webui

import (
	"embed"
	"path"
	"sync"
)

//go:embed openapi.json
var openAPI []byte

//go:embed static/index.html static/*.js static/*.css static/*.png static/*.txt
var static embed.FS

// contentTypes is a table of ours because mime.TypeByExtension reads the
// machine's own tables and so differs from one to the next.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
	".png":  "image/png",
}

// OpenAPI returns the OpenAPI 3.1 description of the HTTP API as JSON. Callers
// must not modify it.
func OpenAPI() []byte { return openAPI }

// DocsAsset returns a file of the API page, which expects to be served at
// /docs with its files below /docs/. The name "" is the page itself. ok is
// false when there is no such file; name may come from outside as it is.
// Callers must not modify the body: it is the same one each time, so that any
// number of answers with it take no memory of their own.
func DocsAsset(name string) (body []byte, contentType string, ok bool) {
	if name == "" {
		name = "index.html"
	}
	contentType = contentTypes[path.Ext(name)]
	if known, ok := assets.Load(name); ok {
		return known.([]byte), contentType, true
	}
	body, err := static.ReadFile("static/" + name)
	if err != nil {
		return nil, "", false
	}
	known, _ := assets.LoadOrStore(name, body)
	return known.([]byte), contentType, true
}

// assets has the content of the files that were asked for: the embedded file
// system makes a copy each time.
var assets sync.Map
