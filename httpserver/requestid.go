package httpserver

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"sekali/access"
)

const requestIDHeader = "X-Request-Id"

// requestIDs names requests: a prefix drawn by every process and a number.
type requestIDs struct {
	prefix string
	last   *atomic.Uint64
}

func newRequestIDs() requestIDs {
	return requestIDs{prefix: rand.Text()[:10] + "-", last: new(atomic.Uint64)}
}

// assign puts the request's id into the response headers: the sender's own
// when it is harmless, else a new one.
func (r requestIDs) assign(ctx *fasthttp.RequestCtx) {
	if given := ctx.Request.Header.Peek(requestIDHeader); harmlessID(given) && !access.MayHoldToken(string(given)) {
		ctx.Response.Header.SetBytesV(requestIDHeader, given)
		return
	}
	var room [32]byte
	ctx.Response.Header.SetCanonical([]byte(requestIDHeader), r.appendNext(room[:0]))
}

func (r requestIDs) appendNext(b []byte) []byte {
	return strconv.AppendUint(append(b, r.prefix...), r.last.Add(1), 10)
}

func (r requestIDs) next() string { return string(r.appendNext(nil)) }

func requestID(ctx *fasthttp.RequestCtx) string {
	return string(ctx.Response.Header.Peek(requestIDHeader))
}

// harmlessID reports whether an id is safe in logs, headers and JSON alike.
func harmlessID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
