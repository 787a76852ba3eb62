package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are the settings of a Client. The zero value of each field stands
// for its default.
type Options struct {
	// APIKey is sent as a bearer token; "" sends none.
	APIKey string
	// RootCAs are the authorities to trust for https instead of the system's;
	// nil stands for those. It is not used with an HTTPClient.
	RootCAs *x509.CertPool
	// HTTPClient replaces the client's own. It should not follow redirects and
	// must not retry by itself.
	HTTPClient *http.Client
	// MaxIdleConns is how many idle connections are kept, 256 by default. Give
	// at least the number of goroutines that publish.
	MaxIdleConns int
	// RequestTimeout bounds each single attempt, 30 s by default.
	RequestTimeout time.Duration
	// MaxAttempts bounds the attempts of one request, 8 by default; 1 never
	// retries.
	MaxAttempts int
	// MinBackoff and MaxBackoff bound the pause between two attempts, 100 ms
	// and 10 s by default. The n-th pause is drawn evenly between 0 and
	// MinBackoff * 2^(n-1), at most MaxBackoff. A Retry-After is waited out in
	// full, and up to MinBackoff more, so that clients do not come back as one.
	MinBackoff, MaxBackoff time.Duration
	// MaxBatchEvents and MaxBatchBytes bound one request of Publish, 1,000
	// events and 1 MiB by default. An event larger than MaxBatchBytes travels
	// alone.
	MaxBatchEvents, MaxBatchBytes int
	// Compress sends the bodies of Publish and of a Batcher with gzip: less
	// network for more work of both sides. A body that would not shrink goes
	// plain, and so do those of PublishOnce.
	Compress bool
	// UserAgent is sent with every request, "sekali-go" by default.
	UserAgent string
}

// maxAnswerBytes bounds an answer that is held in memory.
const maxAnswerBytes = 256 << 20

func (o Options) withDefaults() Options {
	setDefault(&o.MaxIdleConns, 256)
	setDefault(&o.RequestTimeout, 30*time.Second)
	setDefault(&o.MaxAttempts, 8)
	setDefault(&o.MinBackoff, 100*time.Millisecond)
	setDefault(&o.MaxBackoff, 10*time.Second)
	setDefault(&o.MaxBatchEvents, 1000)
	setDefault(&o.MaxBatchBytes, 1<<20)
	setDefault(&o.UserAgent, "sekali-go")
	if o.HTTPClient == nil {
		o.HTTPClient = newHTTPClient(o.MaxIdleConns, o.RootCAs)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) validate() error {
	switch {
	case o.MaxIdleConns < 0, o.RequestTimeout < 0, o.MaxAttempts < 0,
		o.MinBackoff < 0, o.MaxBackoff < 0, o.MaxBatchEvents < 0, o.MaxBatchBytes < 0:
		return errors.New("client: an option is negative")
	case strings.ContainsAny(o.APIKey, "\r\n"):
		return errors.New("client: the API key contains a line break")
	}
	return nil
}

// Client talks to one Sekali server or to a load balancer in front of several.
// It is safe for use by many goroutines.
type Client struct {
	base    url.URL // without a trailing slash in the path
	options Options // complete
	publish string  // URL of POST /publish
}

// New returns a client of the server at baseURL, such as
// "http://127.0.0.1:8080"; a path in it is a prefix of every request. It does
// not connect yet.
func New(baseURL string, options Options) (*Client, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("client: base URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("client: base URL %q: want http://host:port or https://host:port", u.Redacted())
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: base URL %q: user, query and fragment are not supported", u.Redacted())
	}
	c := &Client{
		base:    url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")},
		options: options.withDefaults(),
	}
	c.publish = c.url("/publish", nil)
	return c, nil
}

// Close closes the idle connections. Requests that run are not disturbed.
func (c *Client) Close() { c.options.HTTPClient.CloseIdleConnections() }

// url returns the URL of an escaped path below the base.
func (c *Client) url(escapedPath string, query url.Values) string {
	s := c.base.String() + escapedPath
	if len(query) > 0 {
		s += "?" + query.Encode()
	}
	return s
}

// newHTTPClient differs from http.DefaultClient where it matters to this API:
// connections are kept for many goroutines, no proxy is taken from the
// environment, and a redirect is an answer, so that a key or a body never goes
// where the caller did not send it.
func newHTTPClient(idle int, roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           dialer.DialContext,
			MaxIdleConnsPerHost:   idle,
			IdleConnTimeout:       30 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
			WriteBufferSize:       32 << 10,
			ReadBufferSize:        32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
