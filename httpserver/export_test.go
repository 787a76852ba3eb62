package httpserver

import "github.com/valyala/fasthttp"

// WrapHandler puts a handler of a test around the server's own. It must be
// called before Serve.
func (s *Server) WrapHandler(wrap func(next fasthttp.RequestHandler) fasthttp.RequestHandler) {
	s.http.Handler = wrap(s.http.Handler)
}
