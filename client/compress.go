package client

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"
)

// minCompressed is the smallest body that is worth the trouble: smaller ones
// fit a packet or two anyway.
const minCompressed = 1 << 10

// The fastest level: events repeat their field names, which any level finds.
var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level exists
	return w
}}

// compressed returns the request with its body gzipped where that makes it
// smaller. The result has memory of its own, which the connection may still be
// sending after an early refusal.
func compressed(req Request) Request {
	if len(req.Body) < minCompressed {
		return req
	}
	var b bytes.Buffer
	b.Grow(len(req.Body) / 4)
	w := compressors.Get().(*gzip.Writer)
	w.Reset(&b)
	_, _ = w.Write(req.Body) // a buffer takes everything
	_ = w.Close()
	w.Reset(io.Discard) // which forgets the buffer
	compressors.Put(w)
	if b.Len() >= len(req.Body) {
		return req
	}
	req.Body, req.gzipped = b.Bytes(), true
	return req
}
