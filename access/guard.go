package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sekali"
)

// Store keeps the keys. Others may change them at any time.
type Store interface {
	// Load returns the keys as they are. The result is the same pointer as
	// long as nothing has changed, and its content never does.
	Load() (*Keys, error)
	// Update lets change work on the keys and keeps the outcome, durably,
	// unless change fails; nobody else's update comes between.
	Update(change func(*Keys) error) (*Keys, error)
}

// Options of a Guard. Zero values mean the documented defaults.
type Options struct {
	Limits Limits // of each key; default 15,000 events and 32 MiB
	// Poll is how often the store is looked at (default 500 ms).
	Poll time.Duration
	// NoteUse is how often the times of the last use are written (default 5 min).
	NoteUse time.Duration
	Logger  *slog.Logger // default: discards
}

func (o Options) withDefaults() Options {
	o.Limits.InFlightEvents = cmp.Or(o.Limits.InFlightEvents, 15_000)
	o.Limits.InFlightBytes = cmp.Or(o.Limits.InFlightBytes, 32<<20)
	o.Poll = cmp.Or(o.Poll, 500*time.Millisecond)
	o.NoteUse = cmp.Or(o.NoteUse, 5*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Guard decides who a request comes from.
type Guard struct {
	Options
	store Store
	ring  atomic.Pointer[ring]

	mu      sync.Mutex // of those who put another ring in force
	failure string     // the last error of the store, so that it is logged once
}

// ring is a state of the keys, never changed.
type ring struct {
	keys *Keys
	byID map[string]*Grant
}

// NewGuard returns a guard with the keys of the store in force. An error means
// that it is not known which keys there are: then nothing may be served.
func NewGuard(store Store, o Options) (*Guard, error) {
	keys, err := store.Load()
	if err != nil {
		return nil, err
	}
	g := &Guard{Options: o.withDefaults(), store: store}
	g.ring.Store(&ring{})
	g.enforce(keys)
	return g, nil
}

// Run follows the store until ctx ends, then writes down when keys were last
// used.
func (g *Guard) Run(ctx context.Context) {
	poll, note := time.NewTicker(g.Poll), time.NewTicker(g.NoteUse)
	defer poll.Stop()
	defer note.Stop()
	for {
		select {
		case <-poll.C:
			g.follow()
		case <-note.C:
			g.noteUse()
		case <-ctx.Done():
			g.noteUse()
			return
		}
	}
}

// Required reports whether requests need a key: as soon as there is or was one.
func (g *Guard) Required() bool { return len(g.ring.Load().byID) > 0 }

// Keys returns every key, the oldest first. The caller does not change them.
func (g *Guard) Keys() []Key { return g.ring.Load().keys.All() }

// The refusals. What is said of a key that has ended is said only to those who
// have its secret; otherwise all that is wrong with a token looks alike.
var (
	errUnknown = &sekali.Error{Code: sekali.CodeUnauthorized, Message: "the key is not one of this server; check that it was copied whole"}
	errRevoked = &sekali.Error{Code: sekali.CodeUnauthorized, Message: "the key was revoked; ask whoever runs the server for a new one"}
	errExpired = &sekali.Error{Code: sekali.CodeUnauthorized, Message: "the key has expired; ask whoever runs the server for a new one"}
)

// Authenticate returns what the sender of a token may do, or an error with
// CodeUnauthorized. It takes the same time for an unknown id as for a wrong
// secret. The token is not kept.
func (g *Guard) Authenticate(token []byte) (*Grant, error) {
	id, wellFormed := idOf(token)
	grant := g.ring.Load().byID[string(id)]
	var want Hash
	if grant != nil {
		want = grant.key.Hash
	}
	got := sha256.Sum256(token)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || grant == nil || !wellFormed {
		return nil, errUnknown
	}
	now := time.Now()
	if err := ended(grant.key, now); err != nil {
		return nil, err
	}
	grant.usage.touch(now)
	return grant, nil
}

// ended returns the error to refuse with unless the key is active.
func ended(key *Key, now time.Time) error {
	switch key.State(now) {
	case Revoked:
		return errRevoked
	case Expired:
		return errExpired
	default:
		return nil
	}
}

// Create makes a key, which is in force on return.
func (g *Guard) Create(spec Spec) (key Key, token Token, err error) {
	err = g.update(func(k *Keys) (err error) {
		key, token, err = k.Create(spec, time.Now())
		return err
	})
	return key, token, err
}

// Revoke ends the key of an id, or all of a name; they open nothing any more
// on return.
func (g *Guard) Revoke(nameOrID string) (revoked []Key, err error) {
	err = g.update(func(k *Keys) (err error) {
		revoked, err = k.Revoke(nameOrID, time.Now())
		return err
	})
	return revoked, err
}

// Rotate makes a successor, which is in force on return; see [Keys.Rotate].
func (g *Guard) Rotate(nameOrID string, overlap time.Duration) (key Key, token Token, err error) {
	err = g.update(func(k *Keys) (err error) {
		key, token, err = k.Rotate(nameOrID, overlap, time.Now())
		return err
	})
	return key, token, err
}

func (g *Guard) update(change func(*Keys) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	had := g.Required()
	keys, err := g.store.Update(func(k *Keys) error {
		if had && len(k.list) == 0 {
			return errDisappeared
		}
		return change(k)
	})
	if err != nil {
		return err
	}
	g.enforce(keys)
	return nil
}

// errDisappeared keeps a guard that had keys from ever having none.
var errDisappeared = errors.New("all keys have disappeared from where they are kept; restore them from a backup")

// follow puts in force what others have changed. Whatever is wrong with the
// store, the last good keys stay.
func (g *Guard) follow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.ring.Load()
	keys, err := g.store.Load()
	if err == nil && len(keys.All()) == 0 && len(before.byID) > 0 {
		err = errDisappeared
	}
	if err != nil {
		if g.failure != err.Error() {
			g.Logger.Error("the keys cannot be read: the last ones that could stay in force", "error", err)
		}
		g.failure = err.Error()
		return
	}
	if g.failure != "" {
		g.Logger.Info("the keys can be read again")
		g.failure = ""
	}
	g.enforce(keys)
}

// enforce puts keys in force. What a key has under way is kept.
func (g *Guard) enforce(keys *Keys) {
	before := g.ring.Load()
	if before.keys == keys {
		return
	}
	now := time.Now()
	next := &ring{keys: keys, byID: make(map[string]*Grant, len(keys.list))}
	for i := range keys.list {
		key := &keys.list[i]
		grant := &Grant{key: key}
		if known := before.byID[key.ID]; known != nil {
			grant.usage = known.usage
		} else {
			grant.usage = &usage{limits: g.Limits}
			if key.Rate != (Rate{}) {
				grant.usage.bucket = newBucket(key.Rate, now)
			}
		}
		grant.usage.current.Store(key)
		next.byID[key.ID] = grant
	}
	for id, grant := range before.byID {
		if next.byID[id] == nil {
			grant.usage.current.Store(nil)
		}
	}
	g.ring.Store(next)
	g.logChanges(before, next, now)
}

// logChanges tells the log which keys came, changed their state or left.
func (g *Guard) logChanges(before, next *ring, now time.Time) {
	if before.keys == nil {
		return
	}
	for id, grant := range next.byID {
		key := grant.key
		switch known := before.byID[id]; {
		case known == nil:
			g.Logger.Info("a key is in force", "key_id", id, "name", key.Name, "scopes", key.Scopes, "topic_prefixes", key.TopicPrefixes)
		case known.key.Revoked.IsZero() && !key.Revoked.IsZero():
			g.Logger.Info("a key was revoked", "key_id", id, "name", key.Name)
		case !known.key.Expires.Equal(key.Expires):
			g.Logger.Info("a key will expire", "key_id", id, "name", key.Name, "expires", key.Expires, "in", key.Expires.Sub(now).Round(time.Second).String())
		}
	}
	for id, grant := range before.byID {
		if next.byID[id] == nil {
			g.Logger.Info("a key is no longer listed", "key_id", id, "name", grant.key.Name)
		}
	}
}

// noteUse writes when keys were last used, as far as that is news. It is only
// information: a failure costs nothing else.
func (g *Guard) noteUse() {
	used := make(map[string]time.Time)
	for id, grant := range g.ring.Load().byID {
		last := grant.usage.last.Load()
		if last > 0 && time.Unix(last, 0).Sub(grant.key.LastUsed) >= g.NoteUse {
			used[id] = time.Unix(last, 0)
		}
	}
	if len(used) == 0 {
		return
	}
	err := g.update(func(k *Keys) error {
		k.Used(used)
		return nil
	})
	if err != nil {
		g.Logger.Warn("cannot write when the keys were last used", "error", err)
	}
}
