package httpserver

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sekali"
)

const (
	// freeBodyBytes of each body are not charged: small requests get through
	// however many large ones are under way.
	freeBodyBytes = 16 << 10
	// maxPooledBody is the largest buffer that is kept for the next request.
	maxPooledBody = 1 << 20
)

// bodies receives request bodies into memory that grows with what has arrived,
// not with what was announced, and that is bounded over all connections.
// fasthttp itself would take the announced length at once for each of them.
type bodies struct {
	maxBody     int   // of one request
	maxInFlight int64 // of all together, beyond freeBodyBytes each
	timeout     time.Duration
	inFlight    atomic.Int64
	pool        sync.Pool // of *body
}

// body is a received body; release gives it back.
type body struct {
	bytes   []byte
	charged int64
}

// headerReceived keeps fasthttp from waiting for the first 8 KiB of a body that
// will be refused for its length: it waits for one byte.
func (b *bodies) headerReceived(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
	if h.ContentLength() > b.maxBody {
		c.MaxRequestBodySize = 1
	}
	return c
}

// receive reads the body to its end and makes it the request's PostBody until
// release. After an error the connection must be closed: its next bytes are
// still those of this body.
func (b *bodies) receive(ctx *fasthttp.RequestCtx) (*body, error) {
	length := ctx.Request.Header.ContentLength()
	if length > b.maxBody {
		return nil, b.tooLarge()
	}
	stream := ctx.RequestBodyStream()
	if stream == nil || length == 0 {
		return nil, nil
	}
	received := b.get()
	var err error
	if length < 0 {
		err = b.readChunks(ctx, stream, received)
	} else {
		err = b.readAll(stream, length, received)
	}
	if err != nil {
		b.release(ctx, received)
		return nil, b.refusal(ctx, err)
	}
	ctx.Request.SetBodyRaw(received.bytes)
	return received, nil
}

// readChunks reads a chunked body up to its last chunk. fasthttp takes the end of
// the connection for one, and half a body for a whole. The framing may be as
// large as the largest body.
func (b *bodies) readChunks(ctx *fasthttp.RequestCtx, stream io.Reader, into *body) error {
	conn, ok := ctx.Conn().(*countedConn)
	if !ok {
		return fmt.Errorf("a connection of type %T, which does not tell its end", ctx.Conn())
	}
	const least = 64 << 10
	conn.bound(2*int64(b.maxBody) + least)
	defer conn.unbound()
	err := b.readAll(stream, -1, into)
	if err == nil && conn.ended.Load() {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (b *bodies) readAll(stream io.Reader, length int, into *body) error {
	for {
		if len(into.bytes) == cap(into.bytes) {
			if err := b.grow(into); err != nil {
				return err
			}
		}
		n, err := stream.Read(into.bytes[len(into.bytes):cap(into.bytes)])
		into.bytes = into.bytes[:len(into.bytes)+n]
		switch {
		case len(into.bytes) > b.maxBody:
			return b.tooLarge()
		case errors.Is(err, io.EOF) && (length < 0 || len(into.bytes) == length):
			return nil
		case err != nil:
			return err
		}
	}
}

func (b *bodies) tooLarge() error {
	return problem(codeBodyTooLarge, "the body is larger than "+strconv.Itoa(b.maxBody)+" bytes; send smaller batches")
}

// refusal turns the end of a body that did not come whole into an answer. Other
// errors are answers already.
func (b *bodies) refusal(ctx *fasthttp.RequestCtx, err error) error {
	if _, ok := errors.AsType[*sekali.Error](err); ok {
		return err
	}
	// fasthttp does not pass on what ended the size of a chunk.
	if conn, ok := ctx.Conn().(*countedConn); ok && conn.timedOut {
		return problem(codeRequestTimeout, "the request did not arrive within "+b.timeout.String())
	}
	return problem(codeMalformed, "the body is not as long as announced, or not well-formed chunks")
}

// grow doubles a buffer, up to one byte more than a body may have, unless that
// exceeds what all bodies may take.
func (b *bodies) grow(a *body) error {
	size := min(2*cap(a.bytes), b.maxBody+1)
	more := int64(size - cap(a.bytes))
	if b.inFlight.Add(more) > b.maxInFlight {
		b.inFlight.Add(-more)
		return &sekali.Error{
			Code: sekali.CodeOverloaded, RetryAfter: time.Second,
			Message: "the server is receiving its limit of " + strconv.FormatInt(b.maxInFlight, 10) + " bytes; send the request again, with the same ids, after the time in Retry-After",
		}
	}
	a.charged += more
	bytes := make([]byte, len(a.bytes), size)
	copy(bytes, a.bytes)
	a.bytes = bytes
	return nil
}

// get returns a buffer, a large one only while there is room for it.
func (b *bodies) get() *body {
	a, ok := b.pool.Get().(*body)
	if ok {
		charge := int64(cap(a.bytes)) - freeBodyBytes
		if b.inFlight.Add(charge) <= b.maxInFlight {
			a.bytes, a.charged = a.bytes[:0], charge
			return a
		}
		b.inFlight.Add(-charge)
	}
	return &body{bytes: make([]byte, 0, freeBodyBytes)}
}

// release takes a body, which may be nil, from its request.
func (b *bodies) release(ctx *fasthttp.RequestCtx, a *body) {
	if a == nil {
		return
	}
	ctx.Request.ResetBody()
	b.put(a)
}

// put takes back the memory of a body.
func (b *bodies) put(a *body) {
	b.inFlight.Add(-a.charged)
	overwrite(a.bytes)
	if cap(a.bytes) <= maxPooledBody {
		b.pool.Put(a)
	}
}
