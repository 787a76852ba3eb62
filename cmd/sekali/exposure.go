package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"sekali/httpserver"
	"sekali/internal/certfile"
)

// exposure is what the configuration says about who reaches the server, and
// how.
type exposure struct {
	tlsCert, tlsKey           string
	allowedHosts, corsOrigins nameList
}

func (e *exposure) defineFlags(f *pflag.FlagSet) {
	f.StringVar(&e.tlsCert, "tls-cert", "", "PEM `file` with the server's certificate and those that link it to an authority: serve HTTPS, with --tls-key; read again when it changes, and on SIGHUP")
	f.StringVar(&e.tlsKey, "tls-key", "", "PEM `file` with the key of --tls-cert")
	f.Var(&e.allowedHosts, "allowed-hosts", "`names`, separated by commas, that requests may be addressed to (*.example.com and * work), beside localhost, addresses and names that public DNS does not hold; on a loopback address only localhost and loopback addresses need no listing. Others get 421 misdirected")
	f.Var(&e.corsOrigins, "cors-origins", "`origins`, separated by commas, like https://app.example.com, whose pages may use the server from browsers; others get 403 forbidden_origin")
}

func (e *exposure) validate() error {
	if (e.tlsCert == "") != (e.tlsKey == "") {
		return usageErrorf("--tls-cert and --tls-key go together: name both files, or none")
	}
	for _, name := range e.allowedHosts {
		if err := httpserver.ValidHost(name); err != nil {
			return usageErrorf("--allowed-hosts: %w", err)
		}
	}
	for _, origin := range e.corsOrigins {
		if err := httpserver.ValidOrigin(origin); err != nil {
			return usageErrorf("--cors-origins: %w", err)
		}
	}
	return nil
}

func (e *exposure) secure() bool { return e.tlsCert != "" }

// openCertificate returns the certificate of the configuration and keeps it up
// to date until close. Without TLS it is nil.
func (n *node) openCertificate() (httpserver.Certificate, error) {
	if !n.config.secure() {
		return nil, nil
	}
	pair, err := certfile.Open(n.config.tlsCert, n.config.tlsKey, n.log.With("component", "tls"))
	if err != nil {
		return nil, exitWith(exitFailed, fmt.Errorf("%w; see --tls-cert and --tls-key", err))
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	n.stopCertificate = func() {
		signal.Stop(again)
		cancel()
	}
	go pair.Watch(ctx, again)
	return pair, nil
}

// nameList is a flag of names separated by commas; given twice it adds up.
type nameList []string

// String implements pflag.Value.
func (l *nameList) String() string { return strings.Join(*l, ",") }

// Set implements pflag.Value.
func (l *nameList) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			*l = append(*l, name)
		}
	}
	return nil
}

// Type implements pflag.Value.
func (l *nameList) Type() string { return "names" }

// readRoots returns the authorities in a PEM file; "" stands for the system's,
// which is nil.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageErrorf("--ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, usageErrorf("--ca: %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// defineCA adds the flag of the commands that ask a server.
func defineCA(f *pflag.FlagSet, file *string) {
	f.StringVar(file, "ca", "", "PEM `file` with the authorities to trust for https, instead of the system's")
}

// ownServerClient talks to a server of this machine by an address that its
// certificate does not name. It is for questions with no secret in them.
func ownServerClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}}
}

// keepPrivate has the files that this process creates be for its user only.
// SQLite by itself makes them readable for everybody.
func keepPrivate() { syscall.Umask(0o077) }

// warnOfReaders warns of a database from before that every user of the machine
// may read.
func (n *node) warnOfReaders() {
	directory, dirErr := os.Stat(n.config.dataDir)
	database, err := os.Stat(filepath.Join(n.config.dataDir, "sekali.db"))
	if dirErr == nil && err == nil && directory.Mode().Perm()&0o001 != 0 && database.Mode().Perm()&0o004 != 0 {
		n.log.Warn("every user of this machine may read the events; take the rights of others away with chmod -R o= on the data directory",
			"data_dir", n.config.dataDir, "mode", database.Mode().Perm().String())
	}
}
