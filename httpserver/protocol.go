package httpserver

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// checkProtocol refuses what fasthttp takes and HTTP/1.1 does not allow, before
// anything of the body is read. Where two readers could see different ends of
// a request (RFC 9112, 6.1 and 6.3) something could be smuggled in behind it,
// so the connection must be closed after an error.
func checkProtocol(ctx *fasthttp.RequestCtx) error {
	h := &ctx.Request.Header
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return problem(codeMalformed, "the protocol is not HTTP/1.1")
	}
	var f framing
	for line := range bytes.Lines(h.RawHeaders()) {
		if why := f.line(line); why != "" {
			return problem(codeMalformed, why)
		}
	}
	if why := f.fault(h); why != "" {
		return problem(codeMalformed, why)
	}
	if f.otherExpectation {
		return problem(codeExpectationFailed, "the Expect header asks for something else than 100-continue; leave it out")
	}
	if f.closes {
		ctx.SetConnectionClose()
	}
	return nil
}

// framing is what the headers say about where a request ends and what is done
// then. The raw lines are read because fasthttp keeps only those that it followed.
type framing struct {
	lengths, codings, hosts int
	otherExpectation        bool
	closes                  bool
}

// line reads a line of the headers, or the empty one behind them, and returns
// what is wrong with it, or "". fasthttp ends lines at a bare line feed, which a
// proxy may take for part of a value, and takes blanks in names.
func (f *framing) line(line []byte) (fault string) {
	line, whole := bytes.CutSuffix(line, []byte("\r\n"))
	switch {
	case !whole:
		return "a header line ends without a carriage return"
	case len(line) == 0:
		return ""
	case line[0] == ' ' || line[0] == '\t':
		return "a header goes on in a second line"
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	if !isToken(name) {
		return "the name of a header has characters that it may not have"
	}
	value = bytes.Trim(value, " \t")
	switch len(name) { // of most others it differs
	case len("Host"):
		if bytes.EqualFold(name, []byte("Host")) {
			f.hosts++
		}
	case len("Expect"):
		f.otherExpectation = f.otherExpectation || bytes.EqualFold(name, []byte("Expect")) && !bytes.EqualFold(value, []byte("100-continue"))
	case len("Connection"):
		f.closes = f.closes || bytes.EqualFold(name, []byte("Connection")) && listed(value, "close")
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			f.lengths++
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			f.codings++
			if !bytes.EqualFold(value, []byte("chunked")) {
				return "the Transfer-Encoding is not chunked"
			}
		}
	}
	return ""
}

// fault returns what is wrong with the headers together, or "".
func (f *framing) fault(h *fasthttp.RequestHeader) string {
	switch {
	case f.lengths > 1 || f.codings > 1 || f.lengths+f.codings > 1:
		return "the length of the body is given more than once"
	case f.hosts > 1 || f.hosts == 0 && h.IsHTTP11():
		return "there should be one Host header"
	case bytes.IndexByte(h.Host(), '@') >= 0 || bytes.IndexByte(authority(h.RequestURI()), '@') >= 0:
		return "the host should not have a user" // RFC 9110, 4.2.4
	}
	return ""
}

// authority returns that part of a target in the absolute form.
func authority(target []byte) []byte {
	if target[0] == '/' { // nearly all
		return nil
	}
	_, rest, _ := bytes.Cut(target, []byte("://"))
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// listed reports whether a list of names has this one.
func listed(list []byte, name string) bool {
	for part := range bytes.SplitSeq(list, []byte(",")) {
		if bytes.EqualFold(bytes.Trim(part, " \t"), []byte(name)) {
			return true
		}
	}
	return false
}

// tokenBytes are those that a name may have (RFC 9110, 5.6.2).
var tokenBytes = func() (is [256]bool) {
	const others = "!#$%&'*+-.^_`|~"
	for c := range is {
		is[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c < 0x80 && strings.IndexByte(others, byte(c)) >= 0
	}
	return is
}()

func isToken(name []byte) bool {
	for _, c := range name {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(name) > 0
}
