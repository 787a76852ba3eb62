package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// MaxKeys bounds the list, dead keys included.
	MaxKeys = 10_000
	// KeptDead is how long revoked and expired keys stay in the list.
	KeptDead = 90 * 24 * time.Hour
	// MaxTopicPrefixes bounds those of one key, and maxPrefixBytes each.
	MaxTopicPrefixes = 100

	maxPrefixBytes = 255
	minRate        = 1.0 / 3600
	maxRate        = 1e9
)

// ErrNoSuchKey is returned for a name or id that no active key has.
var ErrNoSuchKey = errors.New("there is no active key of that name or id; 'sekali keys list' has them all")

// Spec says what a new key should be.
type Spec struct {
	Name          string
	Scopes        []Scope
	TopicPrefixes []string
	Lifetime      time.Duration // 0: for ever
	Rate          Rate          // zero: no limit; a Burst of 0 is one second's worth
}

// SpecError says which part of a Spec breaks a rule.
type SpecError struct{ Field, Message string }

// Error names the part and the rule.
func (e *SpecError) Error() string { return e.Field + ": " + e.Message }

// Keys are all keys of a server, the dead ones included. The methods that
// change it leave Keys that were copied from it alone.
type Keys struct{ list []Key }

// NewKeys returns the keys of a list, which it keeps, or an error that says
// which of them cannot be.
func NewKeys(list []Key) (Keys, error) {
	seen := make(map[string]bool, len(list))
	for i := range list {
		k := &list[i]
		spec := Spec{Name: k.Name, Scopes: k.Scopes, TopicPrefixes: k.TopicPrefixes, Rate: k.Rate}
		switch err := spec.complete(); {
		case err != nil:
			return Keys{}, fmt.Errorf("key %q: %w", k.ID, err)
		case len(k.ID) != idLength || strings.Trim(k.ID, alphabet) != "" || seen[k.ID]:
			return Keys{}, fmt.Errorf("key %q: the id is not one, or it is there twice", k.ID)
		case k.Created.IsZero() || k.Hash == Hash{}:
			return Keys{}, fmt.Errorf("key %q: it has no time of creation, or no hash", k.ID)
		}
		seen[k.ID] = true
	}
	return Keys{list}, nil
}

// All returns every key, the oldest first. The caller does not change them.
func (k Keys) All() []Key { return k.list }

// Create adds a key and returns it with its token, which exists nowhere else.
// An active key of that name is refused with a *SpecError.
func (k *Keys) Create(spec Spec, now time.Time) (Key, Token, error) {
	if err := spec.complete(); err != nil {
		return Key{}, Token{}, err
	}
	for i := range k.list {
		if k.list[i].Name == spec.Name && k.list[i].State(now) == Active {
			return Key{}, Token{}, &SpecError{"name", fmt.Sprintf("there is an active key %q already (id %s); rotate it for a new secret, or take another name", spec.Name, k.list[i].ID)}
		}
	}
	return k.add(spec, now)
}

func (k *Keys) add(spec Spec, now time.Time) (Key, Token, error) {
	list := slices.DeleteFunc(slices.Clone(k.list), func(key Key) bool {
		at, ended := key.ended(now)
		return ended && now.Sub(at) > KeptDead
	})
	if len(list) >= MaxKeys {
		return Key{}, Token{}, &SpecError{"name", fmt.Sprintf("there are %d keys already; revoked and expired ones leave the list after %d days", MaxKeys, KeptDead/(24*time.Hour))}
	}
	token := newToken()
	key := Key{
		ID: token.ID(), Hash: token.Hash(), Name: spec.Name, Scopes: spec.Scopes,
		TopicPrefixes: spec.TopicPrefixes, Rate: spec.Rate, Created: now.UTC().Truncate(time.Second),
	}
	if spec.Lifetime > 0 {
		key.Expires = key.Created.Add(spec.Lifetime)
	}
	k.list = append(list, key)
	return key, token, nil
}

// Revoke ends the active key with that id, or all with that name, at once, and
// returns them; ErrNoSuchKey when there are none.
func (k *Keys) Revoke(nameOrID string, now time.Time) ([]Key, error) {
	at, list := k.find(nameOrID, now), slices.Clone(k.list)
	if len(at) == 0 {
		return nil, ErrNoSuchKey
	}
	revoked := make([]Key, len(at))
	for i, j := range at {
		list[j].Revoked = now.UTC().Truncate(time.Second)
		revoked[i] = list[j]
	}
	k.list = list
	return revoked, nil
}

// Rotate adds a key like the newest active one of a name, which may be given by
// the id of any of them, with a secret and a lifetime of its own, and lets all
// active ones of the name expire after the overlap, 0 being at once.
func (k *Keys) Rotate(nameOrID string, overlap time.Duration, now time.Time) (Key, Token, error) {
	at := k.find(nameOrID, now)
	if len(at) == 0 {
		return Key{}, Token{}, ErrNoSuchKey
	}
	if overlap < 0 {
		return Key{}, Token{}, &SpecError{"overlap", "it should be 0 or more, like 24h"}
	}
	at = k.find(k.list[at[0]].Name, now)
	old := k.list[at[len(at)-1]] // an older one ends soon, when it was rotated before
	end := now.UTC().Truncate(time.Second).Add(overlap)
	list := slices.Clone(k.list)
	for _, j := range at {
		if list[j].Expires.IsZero() || list[j].Expires.After(end) {
			list[j].Expires = end
		}
	}
	rotated := Keys{list}
	spec := Spec{Name: old.Name, Scopes: old.Scopes, TopicPrefixes: old.TopicPrefixes, Rate: old.Rate}
	if !old.Expires.IsZero() {
		spec.Lifetime = old.Expires.Sub(old.Created)
	}
	key, token, err := rotated.add(spec, now)
	if err == nil {
		k.list = rotated.list
	}
	return key, token, err
}

// find returns the places of the active key with that id, or of all with that
// name, the oldest first.
func (k *Keys) find(nameOrID string, now time.Time) (at []int) {
	for i := range k.list {
		switch key := &k.list[i]; {
		case key.State(now) != Active:
		case key.ID == nameOrID:
			return []int{i}
		case key.Name == nameOrID:
			at = append(at, i)
		}
	}
	return at
}

// Used notes when keys were last accepted, by id.
func (k *Keys) Used(at map[string]time.Time) {
	k.list = slices.Clone(k.list)
	for i := range k.list {
		if t := at[k.list[i].ID]; t.After(k.list[i].LastUsed) {
			k.list[i].LastUsed = t.UTC().Truncate(time.Second)
		}
	}
}

// nameForm keeps names harmless in logs, tables and paths.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._@:-]{0,63}$`)

// complete checks the rules and fills in what was left open.
func (s *Spec) complete() error {
	if !nameForm.MatchString(s.Name) {
		return &SpecError{"name", "it should be 1 to 64 letters, digits, blanks or . _ @ : - and begin with a letter or digit"}
	}
	if err := s.completeScopes(); err != nil {
		return err
	}
	if err := s.checkPrefixes(); err != nil {
		return err
	}
	if s.Lifetime < 0 || s.Lifetime > 100*365*24*time.Hour {
		return &SpecError{"expires_in", "it should be a time from now on, like 2160h for 90 days, of at most 100 years"}
	}
	return s.Rate.complete()
}

// completeScopes brings them into their order, each once.
func (s *Spec) completeScopes() error {
	var ordered []Scope
	for _, scope := range Scopes() {
		if slices.Contains(s.Scopes, scope) {
			ordered = append(ordered, scope)
		}
	}
	unknown := slices.ContainsFunc(s.Scopes, func(scope Scope) bool { return !slices.Contains(Scopes(), scope) })
	if len(ordered) == 0 || unknown {
		return &SpecError{"scopes", "they should be one or more of publish, read and admin"}
	}
	s.Scopes = ordered
	return nil
}

func (s *Spec) checkPrefixes() error {
	if len(s.TopicPrefixes) > 0 && slices.Contains(s.Scopes, Admin) {
		return &SpecError{"topic_prefixes", "a key with the scope admin cannot be kept to some topics: it can make keys for all of them"}
	}
	if len(s.TopicPrefixes) > MaxTopicPrefixes {
		return &SpecError{"topic_prefixes", fmt.Sprintf("there should be at most %d", MaxTopicPrefixes)}
	}
	for _, p := range s.TopicPrefixes {
		control := strings.ContainsFunc(p, func(r rune) bool { return r < 0x20 || r == 0x7f })
		if p == "" || len(p) > maxPrefixBytes || control || !utf8.ValidString(p) {
			return &SpecError{"topic_prefixes", fmt.Sprintf("each should be 1 to %d bytes of valid UTF-8 without control characters, as topics are", maxPrefixBytes)}
		}
	}
	return nil
}

func (r *Rate) complete() error {
	if *r == (Rate{}) {
		return nil
	}
	if !(r.PerSecond >= minRate && r.PerSecond <= maxRate) || r.Burst < 0 || r.Burst > maxRate {
		return &SpecError{"rate", "it should be from 1 an hour to 1000000000 a second, like 1000/s, and a burst at most 1000000000"}
	}
	if r.Burst == 0 {
		r.Burst = max(1, int(r.PerSecond))
	}
	return nil
}
