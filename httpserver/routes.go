package httpserver

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// handler answers a request or returns the error to answer with. args are the
// decoded variable segments of the path.
type handler func(s *Server, ctx *fasthttp.RequestCtx, args []string) error

// route is one path of the API; segments in braces are variable, a last
// "{rest...}" takes all that follows.
type route struct {
	pattern string
	method  string
	handler handler
	needs   access.Scope // of a key, once there are keys
	listed  bool         // among the endpoints that / names
}

// What a route can need beside a scope.
const (
	nothing access.Scope = ""    // anybody may ask
	anyKey  access.Scope = "any" // whoever has a key may, whatever its scopes
)

// apiRoutes is the whole API. HEAD goes where GET goes. Open to anybody is what
// probes ask and what a browser must load before it can send a key; the latter
// is the same for every Sekali of a version.
func apiRoutes() []route {
	return []route{
		{"/publish", "POST", (*Server).handleIngest, access.Publish, true},
		{"/publish/batch", "POST", (*Server).handleIngest, access.Publish, true},
		{"/events", "GET", (*Server).handleEvents, access.Read, true},
		{"/topics", "GET", (*Server).handleTopics, access.Read, true},
		{"/topics/{topic}/events/{event_id}", "GET", (*Server).handleEvent, access.Read, true},
		{"/stats", "GET", (*Server).handleStats, access.Read, true},
		{"/health", "GET", (*Server).handleHealth, nothing, true},
		{"/healthz", "GET", (*Server).handleHealth, nothing, false},
		{"/readyz", "GET", (*Server).handleReady, nothing, true},
		{"/version", "GET", (*Server).handleVersion, anyKey, true},
		{"/admin/keys", "GET", (*Server).handleListKeys, access.Admin, true},
		{"/admin/keys", "POST", (*Server).handleCreateKey, access.Admin, true},
		{"/admin/keys/{key}", "DELETE", (*Server).handleRevokeKey, access.Admin, true},
		{"/admin/keys/{key}/rotate", "POST", (*Server).handleRotateKey, access.Admin, true},
		{"/openapi.json", "GET", (*Server).handleOpenAPI, nothing, true},
		{"/docs", "GET", (*Server).handleDocs, nothing, true},
		{"/docs/{rest...}", "GET", (*Server).handleDocs, nothing, false},
		{"/", "GET", (*Server).handleRoot, nothing, false},
	}
}

// plainRoutes gives the routes without variable segments by their path, for
// requests that have nothing else in their target.
func plainRoutes(routes []route) map[string][]*route {
	plain := make(map[string][]*route)
	for i := range routes {
		if pattern := routes[i].pattern; !strings.Contains(pattern, "{") {
			plain[pattern] = append(plain[pattern], &routes[i])
		}
	}
	return plain
}

// dispatch calls the handler of the route.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx) error {
	r, args, err := s.find(ctx)
	if err != nil {
		if other, ok := errors.AsType[*otherMethodsError](err); ok {
			ctx.Response.Header.Set("Allow", strings.Join(other.allowed, ", "))
			return problem(codeMethodNotAllowed, "this path does not take "+printable(string(ctx.Method()))+"; use "+strings.Join(other.allowed, " or "))
		}
		return err
	}
	return r.handler(s, ctx, args)
}

// otherMethodsError says that a path exists for other methods.
type otherMethodsError struct{ allowed []string }

func (e *otherMethodsError) Error() string { return "the path takes " + strings.Join(e.allowed, ", ") }

// find returns the route. The path is split as it was sent and each segment
// decoded once, so that a topic may hold a slash; what is routed is what is
// used. fasthttp's own normalized path is not looked at.
func (s *Server) find(ctx *fasthttp.RequestCtx) (r *route, args []string, err error) {
	for _, r := range s.plain[string(ctx.RequestURI())] {
		if r.method == string(ctx.Method()) {
			return r, nil, nil
		}
	}
	segments, err := splitPath(pathOf(ctx))
	if err != nil {
		return nil, nil, err
	}
	method := string(ctx.Method())
	if method == fasthttp.MethodHead {
		method = fasthttp.MethodGet
	}
	var allowed []string
	for i := range s.routes {
		args, ok := match(s.routes[i].pattern, segments)
		if !ok {
			continue
		}
		if s.routes[i].method == method {
			return &s.routes[i], args, nil
		}
		allowed = append(allowed, s.routes[i].method)
	}
	if allowed == nil {
		return nil, nil, problem(codeNotFound, "there is nothing at this path; GET / lists the endpoints")
	}
	if slices.Contains(allowed, fasthttp.MethodGet) {
		allowed = append(allowed, fasthttp.MethodHead)
	}
	return nil, nil, &otherMethodsError{allowed}
}

// pathOf returns the path as it was sent. fasthttp takes the beginning of a path
// like //name/topics for a host when there is a :// anywhere behind it; a proxy in
// front that lets some paths through would see another one.
func pathOf(ctx *fasthttp.RequestCtx) string {
	target := ctx.RequestURI()
	if len(target) == 0 || target[0] != '/' { // the absolute form
		return string(ctx.URI().PathOriginal())
	}
	if end := bytes.IndexAny(target, "?#"); end >= 0 {
		target = target[:end]
	}
	return string(target)
}

func splitPath(path string) ([]string, error) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, raw := range segments {
		if !strings.Contains(raw, "%") {
			continue
		}
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			return nil, problem(codeMalformed, "the path holds a % that is not followed by two hexadecimal digits")
		}
		segments[i] = decoded
	}
	return segments, nil
}

// match returns the variable segments when the path fits the pattern.
func match(pattern string, segments []string) (args []string, ok bool) {
	pattern = pattern[1:]
	for i, segment := range segments {
		part, rest, more := strings.Cut(pattern, "/")
		switch {
		case part == "{rest...}":
			return append(args, strings.Join(segments[i:], "/")), true
		case strings.HasPrefix(part, "{"):
			if segment == "" {
				return nil, false
			}
			args = append(args, segment)
		case part != segment:
			return nil, false
		}
		if last := i == len(segments)-1; last || !more {
			return args, last && !more
		}
		pattern = rest
	}
	return nil, false
}

func problem(code sekali.Code, message string) *sekali.Error {
	return &sekali.Error{Code: code, Message: message}
}

// printable shortens what a sender sent, for use in a message.
func printable(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
