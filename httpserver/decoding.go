package httpserver

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"

	"sekali"
)

// coding is how a body is compressed.
type coding byte

const (
	codingIdentity coding = iota
	codingGzip
	codingZstd
)

// acceptedCodings is what a refusal of another coding offers (RFC 9110, 12.5.3).
const acceptedCodings = "gzip, zstd"

// contentCoding reads Content-Encoding: one coding at most, because each layer
// would multiply what a small body can blow up to.
func contentCoding(h *fasthttp.RequestHeader) (coding, error) {
	lines := h.PeekAll("Content-Encoding")
	if len(lines) == 0 {
		return codingIdentity, nil
	}
	switch name := strings.ToLower(string(bytes.Join(lines, []byte(", ")))); name {
	case "", "identity":
		return codingIdentity, nil
	case "gzip", "x-gzip":
		return codingGzip, nil
	case "zstd":
		return codingZstd, nil
	default:
		return 0, problem(codeUnsupportedEncoding, "the body is "+printable(name)+"-encoded; send it plain, or with Content-Encoding: gzip or zstd")
	}
}

const (
	// maxZstdWindow is what RFC 9659 allows in this content coding.
	maxZstdWindow = 8 << 20
	// maxDecoders bounds the memory of decoders on large machines: each may
	// come to hold a window.
	maxDecoders = 8
)

// decoders decompress bodies, as many at a time as there are processors: more
// would take memory and gain nothing.
type decoders struct {
	bodies *bodies
	free   chan *decoder
}

func newDecoders(b *bodies) decoders {
	d := decoders{bodies: b, free: make(chan *decoder, min(runtime.GOMAXPROCS(0), maxDecoders))}
	for range cap(d.free) {
		d.free <- new(decoder)
	}
	return d
}

// decode returns what a compressed body says, to be given to bodies.put. It is
// bounded as a received body is: in size, in the memory that all bodies take
// together, and in time.
func (d *decoders) decode(c coding, sent []byte, wait time.Duration) (*body, error) {
	until := time.Now().Add(wait)
	one, err := d.acquire(wait)
	if err != nil {
		return nil, err
	}
	plain := d.bodies.get()
	whole := false
	defer func() { // even when a library panics
		one.sent.Reset(nil)
		d.free <- one
		if !whole {
			d.bodies.put(plain)
		}
	}()
	w := &decoding{bodies: d.bodies, into: plain, until: until}
	one.sent.Reset(sent)
	if c == codingGzip {
		err = w.gunzip(one)
	} else {
		err = w.unzstd(one)
	}
	if err != nil {
		return nil, err
	}
	whole = true
	return plain, nil
}

func (d *decoders) acquire(wait time.Duration) (*decoder, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case one := <-d.free:
		return one, nil
	case <-timeout.C:
		return nil, errDecodersBusy
	}
}

var errDecodersBusy = &sekali.Error{
	Code: sekali.CodeOverloaded, RetryAfter: time.Second,
	Message: "the server has more compressed bodies than it can decompress in time; send the request again, with the same ids, after the time in Retry-After",
}

// decoder decompresses one body at a time.
type decoder struct {
	sent bytes.Reader
	gzip gzip.Reader
	zstd *zstd.Decoder // made for the first body that needs it
}

// openZstd returns a reader of the body. It works in the goroutine that reads.
func (d *decoder) openZstd() (_ io.Reader, err error) {
	if d.zstd == nil {
		d.zstd, err = zstd.NewReader(&d.sent, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		return d.zstd, err
	}
	return d.zstd, d.zstd.Reset(&d.sent)
}

// decoding is the decompression of one body.
type decoding struct {
	bodies *bodies
	into   *body
	until  time.Time
}

// gunzip reads one member after the other, as the format has it.
func (w *decoding) gunzip(d *decoder) error {
	for first := true; first || d.sent.Len() > 0; first = false {
		if err := d.gzip.Reset(&d.sent); err != nil {
			return garbled("gzip")
		}
		d.gzip.Multistream(false)
		if err := w.readAll(&d.gzip); err != nil {
			return orGarbled(err, "gzip")
		}
		if time.Now().After(w.until) {
			return errDecodersBusy
		}
	}
	return nil
}

func (w *decoding) unzstd(d *decoder) error {
	if d.sent.Len() == 0 { // the library takes nothing for an empty text
		return garbled("zstd")
	}
	if d.announced() > uint64(w.bodies.maxBody) {
		return w.tooLarge()
	}
	stream, err := d.openZstd()
	if err == nil {
		err = w.readAll(stream)
	}
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return problem(codeUnsupportedEncoding, "the zstd body needs a window larger than 8 MiB, which RFC 9659 does not allow; compress it without --long or --ultra")
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return problem(codeUnsupportedEncoding, "the zstd body needs a dictionary; compress it without one")
	}
	return orGarbled(err, "zstd")
}

// announced returns the size that the first frame gives for itself, if any.
func (d *decoder) announced() uint64 {
	var head [zstd.HeaderMaxSize]byte
	n, _ := d.sent.ReadAt(head[:], 0) // fewer bytes are as good
	var header zstd.Header
	if header.Decode(head[:n]) != nil || !header.HasFCS {
		return 0
	}
	return header.FrameContentSize
}

func (w *decoding) tooLarge() error {
	return problem(codeBodyTooLarge, "the body is larger than "+strconv.Itoa(w.bodies.maxBody)+" bytes when decompressed; send smaller batches")
}

// readAll appends what the stream has up to its end, within the limits.
func (w *decoding) readAll(stream io.Reader) error {
	to := w.into
	for {
		if len(to.bytes) == cap(to.bytes) {
			if err := w.bodies.grow(to); err != nil {
				return err
			}
		}
		n, err := stream.Read(to.bytes[len(to.bytes):cap(to.bytes)])
		to.bytes = to.bytes[:len(to.bytes)+n]
		switch {
		case len(to.bytes) > w.bodies.maxBody:
			return w.tooLarge()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case time.Now().After(w.until):
			return errDecodersBusy
		}
	}
}

// orGarbled passes an error that is an answer already, and takes any other for
// one of the library.
func orGarbled(err error, name string) error {
	if _, ok := errors.AsType[*sekali.Error](err); ok || err == nil {
		return err
	}
	return garbled(name)
}

// garbled answers for a body that is not what its Content-Encoding says.
func garbled(name string) error {
	return problem(codeMalformed, "the body is not well-formed "+name+", or does not end where that does")
}
