// Package testcert makes TLS certificates for tests. They are signed by
// themselves, so that a test trusts one and no other.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Cert is a certificate with its key.
type Cert struct {
	PEM, KeyPEM []byte // as files hold them
	Pair        tls.Certificate
}

// New returns a certificate for names, which may be addresses, that began a
// century before it ends.
func New(t testing.TB, end time.Time, names ...string) *Cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: end.AddDate(-100, 0, 0), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	c := &Cert{
		PEM:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	c.Pair, err = tls.X509KeyPair(c.PEM, c.KeyPEM)
	require.NoError(t, err)
	return c
}

// Roots returns what trusts the certificate and nothing else.
func (c *Cert) Roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(c.Pair.Leaf)
	return roots
}

// GetCertificate is for [tls.Config].
func (c *Cert) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.Pair, nil }

// NotAfter returns when the certificate ends.
func (c *Cert) NotAfter() time.Time { return c.Pair.Leaf.NotAfter }
