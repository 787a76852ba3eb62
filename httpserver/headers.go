package httpserver

import "github.com/valyala/fasthttp"

// securityHeaders are in every answer, whatever it is. They keep browsers from
// guessing types, framing the pages, loading anything from elsewhere, handing
// answers to pages of others and keeping them. The names are canonical.
var securityHeaders = [...][2][]byte{
	{[]byte("X-Content-Type-Options"), []byte("nosniff")},
	{[]byte("Referrer-Policy"), []byte("no-referrer")},
	{[]byte("Content-Security-Policy"), []byte("default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")},
	{[]byte("X-Frame-Options"), []byte("DENY")},
	{[]byte("Cross-Origin-Resource-Policy"), []byte("same-origin")},
	{[]byte("Cross-Origin-Opener-Policy"), []byte("same-origin")},
	{[]byte("Permissions-Policy"), []byte("camera=(), geolocation=(), microphone=(), payment=(), usb=()")},
	{headerCacheControl, []byte("no-store")}, // events are nobody else's business
}

var (
	headerCacheControl = []byte("Cache-Control")
	headerHSTS         = []byte("Strict-Transport-Security")
	// hsts is modest because it holds for every port of the name.
	hsts = []byte("max-age=2592000")
)

func (s *Server) setSecurityHeaders(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	for _, header := range securityHeaders {
		h.SetCanonical(header[0], header[1])
	}
	if s.Certificate != nil {
		h.SetCanonical(headerHSTS, hsts)
	}
}
