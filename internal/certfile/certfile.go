// Package certfile keeps a TLS certificate and its key from two files in use,
// and takes over what the files become while the process runs.
//
// The pair in use is always one that fits: a pair that is broken, or only half
// replaced, leaves the one before in use and is logged. A Pair may be used from
// any goroutine.
package certfile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	// maxFileBytes is far beyond any chain of certificates.
	maxFileBytes = 1 << 20
	// lookEvery is how often the files are read. Their content is compared and
	// not their time, which copying tools preserve and symbolic links hide.
	lookEvery = 2 * time.Second
	// soon is how long before its end a certificate is warned about, once a day.
	soon      = 14 * 24 * time.Hour
	warnEvery = 24 * time.Hour
)

// Pair is a certificate chain and its key from files.
type Pair struct {
	certFile, keyFile string
	log               *slog.Logger
	inUse             atomic.Pointer[tls.Certificate]

	// Only Open and Watch use these.
	loaded   content   // what inUse was made of
	refused  content   // the last that could not be used
	reported bool      // whether the log has it
	warned   time.Time // when the end of the certificate was last warned about
}

// content is what the two files hold, or why they cannot be read.
type content struct {
	cert, key []byte
	err       error
}

func (c content) equal(d content) bool {
	return c.fault() == d.fault() && bytes.Equal(c.cert, d.cert) && bytes.Equal(c.key, d.key)
}

func (c content) fault() string {
	if c.err == nil {
		return ""
	}
	return c.err.Error()
}

// Open returns the pair in PEM files: the server's certificate first, then
// those that link it to an authority; the key without a pass phrase. It fails
// when they cannot be read or do not fit together, and only warns of a
// certificate that has ended and of a key that others may read.
func Open(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log}
	found := p.read()
	if err := p.use(found); err != nil {
		return nil, err
	}
	p.warnOfAccess()
	p.warnOfEnd(time.Now())
	return p, nil
}

// GetCertificate returns the certificate in use, for [tls.Config].
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.inUse.Load(), nil
}

// NotAfter returns when the certificate in use ends.
func (p *Pair) NotAfter() time.Time { return p.inUse.Load().Leaf.NotAfter }

// Watch looks for changes of the files every 2 s, and at once when something
// comes from again, until ctx ends.
func (p *Pair) Watch(ctx context.Context, again <-chan os.Signal) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.look()
		case <-again:
			p.reported = false
			p.refused = p.read() // so that a broken pair is said at this look
			p.look()
			p.log.Info("looked at the certificate again", "cert_file", p.certFile, "not_after", p.NotAfter().UTC())
		}
		p.warnOfEnd(time.Now())
	}
}

// look takes over what the files hold now. A pair that cannot be used is
// logged at the second look that finds it: at the first it may be half
// replaced.
func (p *Pair) look() {
	found := p.read()
	if found.equal(p.loaded) {
		p.refused, p.reported = content{}, false
		return
	}
	again := found.equal(p.refused)
	if again && p.reported {
		return
	}
	if err := p.use(found); err != nil {
		if again {
			p.log.Error("the new certificate cannot be used, the one before stays in use", "error", err)
		}
		p.refused, p.reported = found, again
		return
	}
	p.refused, p.reported, p.warned = content{}, false, time.Time{}
	p.warnOfAccess()
}

// use makes content the pair in use.
func (p *Pair) use(found content) error {
	if found.err != nil {
		return found.err
	}
	pair, err := tls.X509KeyPair(found.cert, found.key)
	if err != nil {
		return fmt.Errorf("the certificate in %s and the key in %s cannot be used together: %w", p.certFile, p.keyFile, err)
	}
	if pair.Leaf == nil { // GODEBUG can ask for that
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("the certificate in %s: %w", p.certFile, err)
		}
	}
	p.inUse.Store(&pair)
	p.loaded = found
	p.log.Info("certificate in use", "cert_file", p.certFile, "names", names(pair.Leaf), "not_after", pair.Leaf.NotAfter.UTC())
	return nil
}

func names(leaf *x509.Certificate) []string {
	all := append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

func (p *Pair) read() (c content) {
	var certErr, keyErr error
	c.cert, certErr = readFile(p.certFile)
	c.key, keyErr = readFile(p.keyFile)
	c.err = errors.Join(certErr, keyErr)
	return c
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // Nothing was written.
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d bytes: it is no certificate or key", name, maxFileBytes)
	}
	return text, err
}

// warnOfAccess warns of a key that everybody on this machine may use.
func (p *Pair) warnOfAccess() {
	info, err := os.Stat(p.keyFile)
	if err == nil && info.Mode().Perm()&0o007 != 0 {
		p.log.Warn("every user of this machine may use the key of the certificate; take the rights of others away",
			"key_file", p.keyFile, "mode", info.Mode().Perm().String())
	}
}

// warnOfEnd warns, once a day, of a certificate that has ended or is about to.
func (p *Pair) warnOfEnd(now time.Time) {
	end := p.NotAfter()
	if now.Before(end.Add(-soon)) || now.Before(p.warned.Add(warnEvery)) {
		return
	}
	p.warned = now
	if now.After(end) {
		p.log.Error("the certificate has ended, clients refuse it; replace the files", "cert_file", p.certFile, "not_after", end.UTC())
		return
	}
	p.log.Warn("the certificate ends soon; replace the files", "cert_file", p.certFile, "not_after", end.UTC(), "days", int(end.Sub(now).Hours()/24))
}
