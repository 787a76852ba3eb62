package httpserver

import (
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"sekali"
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
	listed  bool // among the endpoints that / names
}

// apiRoutes is the whole API. HEAD goes where GET goes.
func apiRoutes() []route {
	return []route{
		{"/publish", "POST", (*Server).handleIngest, true},
		{"/publish/batch", "POST", (*Server).handleIngest, true},
		{"/events", "GET", (*Server).handleEvents, true},
		{"/topics", "GET", (*Server).handleTopics, true},
		{"/topics/{topic}/events/{event_id}", "GET", (*Server).handleEvent, true},
		{"/stats", "GET", (*Server).handleStats, true},
		{"/health", "GET", (*Server).handleHealth, true},
		{"/healthz", "GET", (*Server).handleHealth, false},
		{"/readyz", "GET", (*Server).handleReady, true},
		{"/version", "GET", (*Server).handleVersion, true},
		{"/openapi.json", "GET", (*Server).handleOpenAPI, true},
		{"/docs", "GET", (*Server).handleDocs, true},
		{"/docs/{rest...}", "GET", (*Server).handleDocs, false},
		{"/", "GET", (*Server).handleRoot, false},
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

// dispatch finds the route. The path is split as it was sent and each segment
// decoded once, so that a topic may hold a slash; what is routed is what is
// used. fasthttp's own normalized path is not looked at.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx) error {
	for _, r := range s.plain[string(ctx.RequestURI())] {
		if r.method == string(ctx.Method()) {
			return r.handler(s, ctx, nil)
		}
	}
	segments, err := splitPath(string(ctx.URI().PathOriginal()))
	if err != nil {
		return err
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
			return s.routes[i].handler(s, ctx, args)
		}
		allowed = append(allowed, s.routes[i].method)
	}
	if allowed == nil {
		return problem(codeNotFound, "there is nothing at this path; GET / lists the endpoints")
	}
	if slices.Contains(allowed, fasthttp.MethodGet) {
		allowed = append(allowed, fasthttp.MethodHead)
	}
	ctx.Response.Header.Set("Allow", strings.Join(allowed, ", "))
	return problem(codeMethodNotAllowed, "this path does not take "+printable(method)+"; use "+strings.Join(allowed, " or "))
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
