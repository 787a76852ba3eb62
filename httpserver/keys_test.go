package httpserver_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/access"
	"sekali/persistence/keyfile"
)

// locked is a setup with keys in a file of its own.
type locked struct {
	setup
	file  *keyfile.File
	guard *access.Guard
}

// withKeys returns a setup whose keys are managed through the guard, or
// through the file before start.
func withKeys(t testing.TB, o access.Options) *locked {
	t.Helper()
	l := &locked{file: keyfile.New(t.TempDir())}
	var err error
	l.guard, err = access.NewGuard(l.file, o)
	require.NoError(t, err)
	l.http.Keys = l.guard
	return l
}

// create makes a key and returns the header that sends it.
func (l *locked) create(t testing.TB, s access.Spec) (header string, token access.Token) {
	t.Helper()
	_, token, err := l.guard.Create(s)
	require.NoError(t, err)
	return "Authorization: Bearer " + token.Reveal(), token
}

// key makes a key with a name and scopes.
func (l *locked) key(t testing.TB, name string, scopes ...access.Scope) (header string) {
	t.Helper()
	header, _ = l.create(t, access.Spec{Name: name, Scopes: scopes})
	return header
}

// expired returns the header of a key whose time is over.
func (l *locked) expired(t testing.TB, name string) (header string) {
	t.Helper()
	var token access.Token
	_, err := l.file.Update(func(k *access.Keys) (err error) {
		_, token, err = k.Create(access.Spec{Name: name, Scopes: access.Scopes(), Lifetime: time.Minute}, time.Now().Add(-time.Hour))
		return err
	})
	require.NoError(t, err)
	return "Authorization: Bearer " + token.Reveal()
}
