package access

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// Scope is one thing that a key may do. No scope includes another.
type Scope string

// The scopes that there are.
const (
	Publish Scope = "publish" // hand events in
	Read    Scope = "read"    // read events and counts
	Admin   Scope = "admin"   // manage keys
)

// Scopes returns all scopes, in the order in which they are written.
func Scopes() []Scope { return []Scope{Publish, Read, Admin} }

// Hash is the SHA-256 of a whole token.
type Hash [sha256.Size]byte

// Key is what is known of a key; its secret is not. A Key that has been handed
// out is not changed any more.
type Key struct {
	// ID is the part of the token that is no secret: logs and lists have it.
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Scopes []Scope `json:"scopes"`
	// TopicPrefixes are what the topics of this key begin with, byte for byte;
	// none means every topic.
	TopicPrefixes []string `json:"topic_prefixes,omitempty"`
	Rate          Rate     `json:"rate,omitzero"`

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"` // zero: not
	// LastUsed is when the key was last accepted, some minutes behind.
	LastUsed time.Time `json:"last_used,omitzero"`

	Hash Hash `json:"-"`
}

// Rate is how much a key may ask for: a published event counts as one, any
// other request as one. The zero Rate is no limit.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	// Burst is how much may come at once after a pause, at least 1.
	Burst int `json:"burst"`
}

// State is what has become of a key.
type State string

// The states of a key; only an active one opens anything.
const (
	Active  State = "active"
	Expired State = "expired"
	Revoked State = "revoked"
)

// State returns the state at a time.
func (k *Key) State(at time.Time) State {
	switch {
	case !k.Revoked.IsZero():
		return Revoked
	case !k.Expires.IsZero() && !at.Before(k.Expires):
		return Expired
	default:
		return Active
	}
}

// May reports whether the key has the scope. It does not look at its state.
func (k *Key) May(s Scope) bool { return slices.Contains(k.Scopes, s) }

// Restricted reports whether the key is for some topics only.
func (k *Key) Restricted() bool { return len(k.TopicPrefixes) > 0 }

// MayTopic reports whether the key is for the topic.
func (k *Key) MayTopic(topic string) bool {
	if !k.Restricted() {
		return true
	}
	return slices.ContainsFunc(k.TopicPrefixes, func(prefix string) bool { return strings.HasPrefix(topic, prefix) })
}

// ended returns when the key stopped to open anything, as far as that has
// happened.
func (k *Key) ended(now time.Time) (at time.Time, ended bool) {
	switch k.State(now) {
	case Revoked:
		return k.Revoked, true
	case Expired:
		return k.Expires, true
	default:
		return time.Time{}, false
	}
}
