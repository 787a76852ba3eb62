package httpserver

import "github.com/valyala/fasthttp"

// WrapHandler puts a handler of a test around the one that answers received
// requests. It must be called before Serve.
func (s *Server) WrapHandler(wrap func(next fasthttp.RequestHandler) fasthttp.RequestHandler) {
	s.answer = wrap(s.answer)
}

// OverwriteBuffers has the buffers of requests overwritten when they are given
// back, from now on. It must be called before any server runs.
func OverwriteBuffers() { overwriting = true }

// InFlightAnswers returns the bytes that answers are charged for.
func (s *Server) InFlightAnswers() int64 {
	return s.sending.inFlight.Load() + s.results.inFlight.Load()
}

// InFlightBodies returns the bytes that bodies are charged for.
func (s *Server) InFlightBodies() int64 { return s.bodies.inFlight.Load() }

// Routes returns every route as "METHOD pattern".
func Routes() (list []string) {
	for _, r := range apiRoutes() {
		list = append(list, r.method+" "+r.pattern)
	}
	return list
}
