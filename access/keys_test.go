package access_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/access"
)

var now = time.Date(2025, 10, 24, 10, 30, 0, 0, time.UTC)

func spec(name string, scopes ...access.Scope) access.Spec {
	return access.Spec{Name: name, Scopes: scopes}
}

func create(t testing.TB, k *access.Keys, s access.Spec) (access.Key, access.Token) {
	t.Helper()
	key, token, err := k.Create(s, now)
	require.NoError(t, err)
	return key, token
}

func TestATokenHasTheFormThatScannersKnowAndNeverComesTwice(t *testing.T) {
	form := regexp.MustCompile(`^sek_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$`)
	seen := map[string]bool{}
	var k access.Keys
	for i := range 200 {
		key, token := create(t, &k, spec(fmt.Sprint("k", i), access.Read))
		require.Regexp(t, form, token.Reveal())
		require.Equal(t, key.ID, token.ID())
		require.Equal(t, key.Hash, token.Hash())
		require.False(t, seen[token.Reveal()])
		seen[token.Reveal()] = true
	}
}

func TestNothingButRevealShowsTheSecret(t *testing.T) {
	var k access.Keys
	_, token := create(t, &k, spec("a", access.Read))
	secret := token.Reveal()[17:]
	encoded, err := json.Marshal(map[string]any{"token": token})
	require.NoError(t, err)
	for _, shown := range []string{
		fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s %q", token, token, token, token, token), token.LogValue().String(), string(encoded),
	} {
		require.NotContains(t, shown, secret)
		require.Contains(t, shown, token.ID())
	}
	require.Contains(t, token.Reveal(), secret)
	require.Equal(t, "/admin/keys/"+token.String()+"?x", access.Redact("/admin/keys/"+token.Reveal()+"?x"))
}

func TestWhatIsNoKeyIsRefusedAndTheRuleNamed(t *testing.T) {
	for field, bad := range map[string][]access.Spec{
		"name": {
			spec("", access.Read), spec(" a", access.Read), spec("a\nb", access.Read), spec("-a", access.Read), spec("é", access.Read),
			spec(string(make([]byte, 65)), access.Read),
		},
		"scopes":         {spec("a"), spec("a", "write"), spec("a", access.Read, "")},
		"topic_prefixes": {prefixed(""), prefixed("a", "b\x00"), prefixed("\xff"), prefixed(string(make([]byte, 256))), {Name: "a", Scopes: []access.Scope{access.Admin}, TopicPrefixes: []string{"a"}}},
		"expires_in":     {{Name: "a", Scopes: access.Scopes(), Lifetime: -time.Second}, {Name: "a", Scopes: access.Scopes(), Lifetime: 1<<63 - 1}},
		"rate":           {rated(-1, 0), rated(0, 5), rated(1e-300, 0), rated(math.NaN(), 0), rated(math.Inf(1), 0), rated(2e9, 0), rated(1, -1)},
	} {
		for _, s := range bad {
			var k access.Keys
			_, _, err := k.Create(s, now)
			var refused *access.SpecError
			require.ErrorAs(t, err, &refused, "%+v", s)
			require.Equal(t, field, refused.Field)
			require.Empty(t, k.All())
		}
	}
}

func prefixed(prefixes ...string) access.Spec {
	return access.Spec{Name: "a", Scopes: []access.Scope{access.Read}, TopicPrefixes: prefixes}
}

func rated(perSecond float64, burst int) access.Spec {
	return access.Spec{Name: "a", Scopes: []access.Scope{access.Read}, Rate: access.Rate{PerSecond: perSecond, Burst: burst}}
}

func TestScopesAreOrderedAndEachIsThereOnce(t *testing.T) {
	var k access.Keys
	key, _ := create(t, &k, spec("a", access.Admin, access.Read, access.Publish, access.Read))
	require.Equal(t, access.Scopes(), key.Scopes)
	key, _ = create(t, &k, access.Spec{Name: "b", Scopes: access.Scopes(), Rate: access.Rate{PerSecond: 0.5}})
	require.Equal(t, 1, key.Rate.Burst, "a burst of less than one would never pass")
}

func TestAKeyLivesUntilItExpiresOrIsRevoked(t *testing.T) {
	var k access.Keys
	s := spec("a", access.Read)
	s.Lifetime = time.Hour
	key, _ := create(t, &k, s)
	require.Equal(t, access.Active, key.State(now.Add(time.Hour-1)))
	require.Equal(t, access.Expired, key.State(now.Add(time.Hour)))
	_, _, err := k.Create(s, now.Add(time.Minute))
	require.ErrorContains(t, err, "rotate it", "the name is taken while the key is active")
	_, _, err = k.Create(s, now.Add(time.Hour))
	require.NoError(t, err, "and free afterwards")

	_, err = k.Revoke(key.ID, now.Add(time.Hour))
	require.ErrorIs(t, err, access.ErrNoSuchKey, "what has expired cannot be revoked")
	before := k
	revoked, err := k.Revoke("a", now.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, revoked, 1)
	require.Equal(t, access.Revoked, revoked[0].State(now))
	require.Equal(t, access.Active, before.All()[1].State(now.Add(time.Hour)), "a copy is left alone")
	require.Len(t, k.All(), 2, "dead keys stay: they tell that keys are needed")
}

func TestRotationLeavesTheOldSecretsForTheOverlap(t *testing.T) {
	var k access.Keys
	s := access.Spec{Name: "a", Scopes: []access.Scope{access.Publish}, TopicPrefixes: []string{"x."}, Lifetime: 10 * time.Hour, Rate: access.Rate{PerSecond: 5, Burst: 7}}
	first, _ := create(t, &k, s)
	later := now.Add(time.Hour)
	second, token, err := k.Rotate("a", 2*time.Hour, later)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, token.ID(), second.ID)
	require.Equal(t, later.Add(10*time.Hour), second.Expires, "a lifetime of its own")
	second.ID, second.Hash, second.Created, second.Expires = first.ID, first.Hash, first.Created, first.Expires
	require.Equal(t, first, second, "all else is the same")
	require.Equal(t, later.Add(2*time.Hour), k.All()[0].Expires)

	third, _, err := k.Rotate(first.ID, 0, later)
	require.NoError(t, err)
	require.Equal(t, later.Add(10*time.Hour), third.Expires, "not the end that the rotation before gave the first")
	states := []access.State{}
	for _, key := range k.All() {
		states = append(states, key.State(later))
	}
	require.Equal(t, []access.State{access.Expired, access.Expired, access.Active}, states, "without an overlap all others end at once")

	_, _, err = k.Rotate("b", 0, later)
	require.ErrorIs(t, err, access.ErrNoSuchKey)
	_, _, err = k.Rotate("a", -1, later)
	require.ErrorContains(t, err, "overlap")
}

func TestARotationDoesNotProlongAKeyThatEndsEarlier(t *testing.T) {
	var k access.Keys
	s := spec("a", access.Read)
	s.Lifetime = time.Hour
	create(t, &k, s)
	_, _, err := k.Rotate("a", 24*time.Hour, now)
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Hour), k.All()[0].Expires)
}

func TestDeadKeysLeaveTheListAfterTheirTimeAndNeverTheLastOne(t *testing.T) {
	var k access.Keys
	create(t, &k, spec("a", access.Read))
	_, err := k.Revoke("a", now)
	require.NoError(t, err)
	_, _, err = k.Create(spec("b", access.Read), now.Add(access.KeptDead))
	require.NoError(t, err)
	require.Len(t, k.All(), 2)
	_, _, err = k.Create(spec("c", access.Read), now.Add(access.KeptDead+time.Second))
	require.NoError(t, err)
	require.Len(t, k.All(), 2, "a has left when c came")
	require.Equal(t, "b", k.All()[0].Name)
}

func TestAPrefixIsHeldAgainstTheBytesOfATopic(t *testing.T) {
	var k access.Keys
	key, _ := create(t, &k, prefixed("order.", "é"))
	for topic, may := range map[string]bool{
		"order.": true, "order.created": true, "order": false, "Order.created": false, "orders.created": false, "": false,
		"été": true, "e\u0301te": false, "x.order.": false,
	} {
		require.Equal(t, may, key.MayTopic(topic), "%q", topic)
	}
	free, _ := create(t, &k, spec("free", access.Read))
	require.True(t, free.MayTopic("anything"))
	require.False(t, free.Restricted())
}
