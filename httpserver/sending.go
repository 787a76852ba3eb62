package httpserver

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
)

const (
	// freeAnswerBytes of each answer are not charged: small ones are given
	// however many large ones wait for readers that do not read.
	freeAnswerBytes = 64 << 10
	// streamBytes is what a stream is charged for from its beginning, as much as
	// most pages take: so that it is refused before it has begun, and not later.
	streamBytes = 1 << 20
)

// sending bounds the memory of large answers that are being sent, over all
// connections: a reader may take its time, and pins what it was to read.
type sending struct {
	max      int64
	refusal  string // what to say beyond max, with a %d for that
	inFlight atomic.Int64
}

const (
	tooManyToReaders    = "the server is sending its limit of %d bytes to readers; ask again after the time in Retry-After, or for less with limit"
	tooManyToPublishers = "the server is sending its limit of %d bytes of answers to publishers; send the request again, with the same ids, after the time in Retry-After, or with 'Prefer: return=minimal'"
)

// take charges for bytes, or returns the error to refuse with. They are given
// back with give.
func (s *sending) take(bytes int64) error {
	if s.inFlight.Add(bytes) > s.max {
		s.give(bytes)
		return &sekali.Error{
			Code: sekali.CodeOverloaded, RetryAfter: time.Second,
			Message: fmt.Sprintf(s.refusal, s.max),
		}
	}
	return nil
}

func (s *sending) give(bytes int64) { s.inFlight.Add(-bytes) }

// chargedBody is the body of a large answer. fasthttp closes it when it was sent
// or the connection broke.
type chargedBody struct {
	bytes.Reader
	sending *sending
	charged int64
	once    sync.Once
}

// Close implements io.Closer.
func (b *chargedBody) Close() error {
	b.once.Do(func() { b.sending.give(b.charged) })
	return nil
}

// writeLarge answers with a body of any size, which it takes over.
func (s *Server) writeLarge(ctx *fasthttp.RequestCtx, contentType string, body []byte) error {
	charge := int64(cap(body)) - freeAnswerBytes
	if charge <= 0 || ctx.IsHead() {
		ctx.SetContentType(contentType)
		ctx.Response.SetBodyRaw(body)
		return nil
	}
	if err := s.sending.take(charge); err != nil {
		return err
	}
	s.sending.send(ctx, contentType, body, charge)
	return nil
}

// send answers with a body that was charged for; it takes over both.
func (s *sending) send(ctx *fasthttp.RequestCtx, contentType string, body []byte, charge int64) {
	ctx.SetContentType(contentType)
	charged := &chargedBody{sending: s, charged: charge}
	charged.Reset(body)
	ctx.SetBodyStream(charged, len(body))
}
