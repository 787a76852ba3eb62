package httpserver

import "github.com/valyala/fasthttp"

// overwriting has each buffer of a request overwritten at the moment from which
// it may serve another one, so that what still refers to it is found: an event
// that changes after its answer is a loss nobody sees. The tests of this package
// set it before anything else; a server never does.
var overwriting = false

// overwrite fills a buffer that is given back, up to its capacity.
func overwrite(buffer []byte) {
	if overwriting {
		fill(buffer[:cap(buffer)])
	}
}

func fill(buffer []byte) {
	for i := range buffer {
		buffer[i] = '#'
	}
}

// overwriteRequest overwrites what fasthttp keeps of a request: the target and
// its parts, and the headers, parsed and raw. Bodies are overwritten where they
// are put back; the method stays, because fasthttp looks at it once more.
func overwriteRequest(ctx *fasthttp.RequestCtx) {
	if !overwriting {
		return
	}
	h, uri := &ctx.Request.Header, ctx.URI()
	for key, value := range h.All() {
		if string(key) != fasthttp.HeaderConnection { // a constant of fasthttp
			fill(value)
		}
	}
	for key, value := range ctx.QueryArgs().All() {
		fill(key)
		fill(value)
	}
	for _, buffer := range [][]byte{h.RawHeaders(), h.RequestURI(), uri.FullURI(), uri.PathOriginal(), uri.QueryString(), uri.Host(), uri.Hash()} {
		fill(buffer)
	}
}
