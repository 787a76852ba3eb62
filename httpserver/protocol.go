package httpserver

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// checkProtocol refuses what fasthttp takes and HTTP/1.1 does not allow, before
// anything of the body is read. Where two readers could see different ends of
// a request (RFC 9112, 6.1 and 6.3) something could be smuggled in behind it,
// so the connection must be closed after an error.
func checkProtocol(ctx *fasthttp.RequestCtx) error {
	h := &ctx.Request.Header
	if why := framingFault(h); why != "" {
		return problem(codeMalformed, why)
	}
	if expect := h.Peek("Expect"); len(expect) > 0 && !bytes.EqualFold(expect, []byte("100-continue")) {
		return problem(codeExpectationFailed, "the Expect header asks for something else than 100-continue; leave it out")
	}
	return nil
}

// framingFault returns what is wrong with the protocol version or with the
// headers that say how long the body is, or "". The raw lines are read because
// fasthttp keeps only the header that it followed.
func framingFault(h *fasthttp.RequestHeader) string {
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return "the protocol is not HTTP/1.1"
	}
	lengths, codings, hosts := 0, 0, 0
	for line := range bytes.Lines(h.RawHeaders()) {
		if line[0] == ' ' || line[0] == '\t' {
			return "a header goes on in a second line"
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			lengths++
		case bytes.EqualFold(name, []byte("Host")):
			hosts++
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			codings++
			if !bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked")) {
				return "the Transfer-Encoding is not chunked"
			}
		}
	}
	switch {
	case lengths > 1 || codings > 1 || lengths+codings > 1:
		return "the length of the body is given more than once"
	case hosts > 1 || hosts == 0 && h.IsHTTP11():
		return "there should be one Host header"
	}
	return ""
}
