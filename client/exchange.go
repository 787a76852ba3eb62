package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
)

// answerBuffers keeps the memory of answers that have been decoded.
var answerBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooledBytes is the largest buffer that is kept; a rare large answer must
// not pin its memory.
const maxPooledBytes = 1 << 20

// reply is an answer that arrived whole. Its body is valid until release.
type reply struct {
	status int
	header http.Header
	body   *bytes.Buffer
}

func (r *reply) release() {
	if r.body.Cap() <= maxPooledBytes {
		r.body.Reset()
		answerBuffers.Put(r.body)
	}
}

// exchange makes one attempt and reads the whole answer, whatever its status.
// The error is a *NoAnswerError, unless the request cannot be built. On success
// the caller releases the reply.
func (c *Client) exchange(ctx context.Context, method, url string, header http.Header, body []byte) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.RequestTimeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c.setHeader(req, header)
	resp, err := c.options.HTTPClient.Do(req)
	if err != nil {
		return nil, &NoAnswerError{Err: err}
	}
	defer resp.Body.Close() //nolint:errcheck // The body was read to its end or is worthless.
	return readReply(resp)
}

func (c *Client) setHeader(req *http.Request, header http.Header) {
	maps.Copy(req.Header, header)
	req.Header["User-Agent"] = []string{c.options.UserAgent}
	if c.options.APIKey != "" {
		req.Header["Authorization"] = []string{"Bearer " + c.options.APIKey}
	}
}

func readReply(resp *http.Response) (*reply, error) {
	buf := answerBuffers.Get().(*bytes.Buffer)
	r := &reply{status: resp.StatusCode, header: resp.Header, body: buf}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err == nil && n > maxAnswerBytes {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswerBytes)
	}
	if err != nil {
		r.release()
		return nil, &NoAnswerError{Err: fmt.Errorf("read the answer (status %d): %w", resp.StatusCode, err)}
	}
	return r, nil
}
