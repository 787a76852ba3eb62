package access_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/access"
)

// memory is a store whose failures a test decides.
type memory struct {
	mu      sync.Mutex
	keys    *access.Keys
	failure error
}

func newMemory() *memory { return &memory{keys: &access.Keys{}} }

func (m *memory) Load() (*access.Keys, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys, m.failure
}

func (m *memory) Update(change func(*access.Keys) error) (*access.Keys, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := *m.keys
	if err := errors.Join(m.failure, change(&next)); err != nil {
		return nil, err
	}
	m.keys = &next
	return m.keys, nil
}

// become is what another process does to the store.
func (m *memory) become(keys *access.Keys, failure error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys, m.failure = keys, failure
}

func (m *memory) create(t testing.TB, s access.Spec) access.Token {
	t.Helper()
	var token access.Token
	_, err := m.Update(func(k *access.Keys) (err error) {
		_, token, err = k.Create(s, time.Now())
		return err
	})
	require.NoError(t, err)
	return token
}

func newGuard(t testing.TB, m *memory, o access.Options) *access.Guard {
	t.Helper()
	g, err := access.NewGuard(m, o)
	require.NoError(t, err)
	return g
}

func requireUnauthorized(t testing.TB, g *access.Guard, token, says string) {
	t.Helper()
	_, err := g.Authenticate([]byte(token))
	require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeUnauthorized})
	require.ErrorContains(t, err, says)
}

func requireAccepted(t testing.TB, g *access.Guard, token access.Token) *access.Grant {
	t.Helper()
	grant, err := g.Authenticate([]byte(token.Reveal()))
	require.NoError(t, err)
	require.Equal(t, token.ID(), grant.Key().ID)
	return grant
}

func TestOnlyTheWholeTokenIsAccepted(t *testing.T) {
	m := newMemory()
	token := m.create(t, spec("a", access.Read)).Reveal()
	other := m.create(t, spec("b", access.Read)).Reveal()
	g := newGuard(t, m, access.Options{})
	const unknown = "not one of this server"
	for _, wrong := range []string{
		"", "sek_", token[:len(token)-1], token + "0", " " + token, "SEK" + token[3:], token[4:],
		token[:16] + "-" + token[17:], token[:17] + other[17:], other[:17] + token[17:], token[:len(token)-1] + "\x00",
		"sek_000000000000_0000000000000000000000000000000000000000000",
	} {
		requireUnauthorized(t, g, wrong, unknown)
	}
	for i := range len(token) { // each single letter counts
		changed := []byte(token)
		changed[i] ^= 1
		requireUnauthorized(t, g, string(changed), unknown)
	}
	grant, err := g.Authenticate([]byte(token))
	require.NoError(t, err)
	require.Equal(t, "a", grant.Key().Name)
}

func TestAGuardWithoutKeysRequiresNoneAndKnowsNobody(t *testing.T) {
	g := newGuard(t, newMemory(), access.Options{})
	require.False(t, g.Required())
	requireUnauthorized(t, g, "", "not one")
	require.Empty(t, g.Keys())
}

func TestOnlyTheHolderOfTheSecretLearnsThatAKeyHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		revoked, s := m.create(t, spec("a", access.Read)), spec("b", access.Read)
		s.Lifetime = time.Minute
		expired := m.create(t, s)
		g := newGuard(t, m, access.Options{})
		requireAccepted(t, g, revoked)
		requireAccepted(t, g, expired)
		_, err := g.Revoke(revoked.ID())
		require.NoError(t, err)
		pass(time.Minute)
		requireUnauthorized(t, g, revoked.Reveal(), "was revoked")
		requireUnauthorized(t, g, expired.Reveal(), "has expired")
		requireUnauthorized(t, g, revoked.Reveal()[:17]+expired.Reveal()[17:], "not one of this server")
		require.True(t, g.Required(), "the last key has ended, and the door stays shut")
	})
}

func TestAGuardFollowsItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		g := newGuard(t, m, access.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { g.Run(ctx) })
		defer running.Wait()
		defer cancel()

		token := m.create(t, spec("a", access.Read))
		require.False(t, g.Required())
		pass(time.Second)
		require.True(t, g.Required(), "a second later the first key is needed")
		requireAccepted(t, g, token)

		last, _ := m.Load()
		for _, ill := range []struct {
			keys    *access.Keys
			failure error
		}{{nil, errors.New("unreadable")}, {&access.Keys{}, nil}, {nil, errors.New("damaged")}} {
			m.become(ill.keys, ill.failure)
			pass(time.Second)
			require.True(t, g.Required())
			requireAccepted(t, g, token)
		}
		m.become(&access.Keys{}, nil)
		_, _, err := g.Create(spec("b", access.Read))
		require.ErrorContains(t, err, "disappeared", "a store that lost its keys is not begun anew")

		m.become(last, nil)
		_, err = m.Update(func(k *access.Keys) error {
			_, err := k.Revoke("a", time.Now())
			return err
		})
		require.NoError(t, err)
		pass(time.Second)
		requireUnauthorized(t, g, token.Reveal(), "revoked")
	})
}

func TestAGuardThatCannotReadItsKeysDoesNotBegin(t *testing.T) {
	m := newMemory()
	m.become(nil, errors.New("damaged"))
	_, err := access.NewGuard(m, access.Options{})
	require.ErrorContains(t, err, "damaged")
}

func TestTheTimeOfTheLastUseIsWrittenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		token, idle := m.create(t, spec("a", access.Read)), m.create(t, spec("b", access.Read))
		g := newGuard(t, m, access.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { g.Run(ctx) })
		used := time.Now()
		requireAccepted(t, g, token)
		pass(6 * time.Minute)
		lastUsed := map[string]time.Time{}
		for _, k := range g.Keys() {
			lastUsed[k.ID] = k.LastUsed
		}
		require.WithinDuration(t, used, lastUsed[token.ID()], time.Minute)
		require.Zero(t, lastUsed[idle.ID()])

		again := time.Now()
		requireAccepted(t, g, token)
		cancel()
		running.Wait()
		keys, _ := m.Load()
		require.WithinDuration(t, again, keys.All()[0].LastUsed, time.Minute, "also at the end")
	})
}

// pass lets time go by, inside a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }
