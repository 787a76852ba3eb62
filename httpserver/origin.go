package httpserver

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// ValidOrigin returns what is wrong with an origin for Options.CORSOrigins: it
// is a scheme and an authority as browsers send them.
func ValidOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) || u.User != nil {
		return fmt.Errorf("%q is not an origin; write it like https://app.example.com or http://localhost:3000, in lower case and without a path", origin)
	}
	return nil
}

// checkOrigin refuses what a browser sends for a page that is not ours, unless
// the page's origin is listed. Browsers would keep an answer from such a page
// anyway, but a request with effects has had them by then. Programs that are no
// browsers send neither of the headers. A listed origin gets the headers that
// let its page read the answer, errors included.
func (s *Server) checkOrigin(ctx *fasthttp.RequestCtx) error {
	h := &ctx.Request.Header
	if len(s.CORSOrigins) > 0 {
		ctx.Response.Header.Add("Vary", "Origin")
	}
	if origin := h.Peek("Origin"); len(origin) > 0 {
		switch {
		case slices.Contains(s.CORSOrigins, string(origin)):
			ctx.Response.Header.SetBytesV("Access-Control-Allow-Origin", origin)
			ctx.Response.Header.Set("Access-Control-Expose-Headers", "*")
		case !s.isOwn(string(origin), string(h.Host())):
			return problem(codeForbiddenOrigin, fmt.Sprintf("pages of %q may not use this server; start it with --cors-origins to let them", printable(string(origin))))
		}
		return nil
	}
	switch string(h.Peek("Sec-Fetch-Site")) {
	case "", "none", "same-origin":
		return nil
	}
	if isNavigation(ctx) {
		return nil
	}
	return problem(codeForbiddenOrigin, "pages of another site may not use this server; start it with --cors-origins to let them")
}

// isOwn reports whether an origin is that of the API page of this server. A
// proxy may have ended TLS before us, so only over our own is https asked for.
func (s *Server) isOwn(origin, host string) bool {
	scheme, authority, _ := strings.Cut(origin, "://")
	if scheme != "https" && (scheme != "http" || s.Certificate != nil) {
		return false
	}
	return authority != "" && strings.EqualFold(authority, host)
}

// isNavigation reports whether somebody followed a link to this server in a
// window of its own: no other page sees what comes.
func isNavigation(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	return (ctx.IsGet() || ctx.IsHead()) && string(h.Peek("Sec-Fetch-Mode")) == "navigate" && string(h.Peek("Sec-Fetch-Dest")) == "document"
}

// isPreflight reports whether a browser asks whether a page of a listed origin
// may send a request; checkOrigin has refused all others. It asks without the
// key that the page will send.
func (s *Server) isPreflight(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	return ctx.IsOptions() && len(h.Peek("Access-Control-Request-Method")) > 0 && slices.Contains(s.CORSOrigins, string(h.Peek("Origin")))
}

// answerPreflight says yes. Anything may be sent because nothing is sent by
// itself: keys are not cookies. Browsers send no body, so none is read.
func (s *Server) answerPreflight(ctx *fasthttp.RequestCtx) {
	answer := &ctx.Response.Header
	answer.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
	answer.Set("Access-Control-Allow-Headers", "*, Authorization") // the star leaves that one out
	answer.Set("Access-Control-Max-Age", "600")
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	if length := ctx.Request.Header.ContentLength(); length > 0 || length == -1 { // known, or chunked
		closeUnread(ctx)
	}
}
