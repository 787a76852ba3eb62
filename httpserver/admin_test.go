package httpserver_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali/access"
	"sekali/httpserver"
)

// shownKey is a key as the admin API answers it.
type shownKey struct {
	Key           string   `json:"key"`
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Scopes        []string `json:"scopes"`
	TopicPrefixes []string `json:"topic_prefixes"`
	Rate          *struct {
		PerSecond float64 `json:"per_second"`
		Burst     int     `json:"burst"`
	} `json:"rate"`
	Expires time.Time `json:"expires"`
	State   string    `json:"state"`
}

// made returns the key of a 201.
func made(t testing.TB, a answer) shownKey {
	t.Helper()
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	k := as[shownKey](t, a)
	require.Contains(t, k.Key, "sek_"+k.ID+"_")
	require.Equal(t, "active", k.State)
	return k
}

func (n *node) listedKeys(admin string) []shownKey {
	n.t.Helper()
	a := n.do("GET", "/admin/keys", "", admin)
	require.Equal(n.t, http.StatusOK, a.status, "%s", a.body)
	require.Equal(n.t, "no-store", a.header.Get("Cache-Control"))
	return as[struct{ Keys []shownKey }](n.t, a).Keys
}

func TestAKeyIsMadeUsedRotatedAndRevokedOverHTTP(t *testing.T) {
	l := withKeys(t, access.Options{})
	admin := l.key(t, "ops", access.Admin)
	n := start(t, l.setup)
	k := made(t, n.do("POST", "/admin/keys",
		`{"name":"shop","scopes":["read","publish"],"topic_prefixes":["order."],"expires_in":"2160h","rate":{"per_second":1000,"burst":2000}}`, admin))
	require.Equal(t, []string{"publish", "read"}, k.Scopes)
	require.Equal(t, []string{"order."}, k.TopicPrefixes)
	require.Equal(t, 2000, k.Rate.Burst)
	require.WithinDuration(t, time.Now().Add(90*24*time.Hour), k.Expires, time.Minute)
	first := "Authorization: Bearer " + k.Key
	n.publish(newEvent("order.created", "1"), first)

	second := made(t, n.do("POST", "/admin/keys/shop/rotate", "", admin))
	require.NotEqual(t, k.ID, second.ID)
	require.Equal(t, "shop", second.Name)
	for _, key := range []string{k.Key, second.Key} {
		n.publish(newEvent("order.created", "2"), "Authorization: Bearer "+key)
	}
	third := made(t, n.do("POST", "/admin/keys/"+second.ID+"/rotate", `{"overlap":"0"}`, admin))
	for _, key := range []string{k.Key, second.Key} {
		refused(t, n.do("GET", "/topics", "", "Authorization: Bearer "+key), http.StatusUnauthorized, "unauthorized")
	}
	require.Equal(t, http.StatusOK, n.do("GET", "/topics", "", "Authorization: Bearer "+third.Key).status)

	a := n.do("DELETE", "/admin/keys/shop", "", admin)
	require.Equal(t, http.StatusOK, a.status)
	revoked := as[struct{ Revoked []shownKey }](t, a).Revoked
	require.Len(t, revoked, 1)
	require.Equal(t, third.ID, revoked[0].ID)
	refused(t, n.do("GET", "/topics", "", "Authorization: Bearer "+third.Key), http.StatusUnauthorized, "unauthorized")
	refused(t, n.do("DELETE", "/admin/keys/shop", "", admin), http.StatusNotFound, "not_found")
	refused(t, n.do("POST", "/admin/keys/shop/rotate", "", admin), http.StatusNotFound, "not_found")

	states := map[string]string{}
	for _, listed := range n.listedKeys(admin) {
		require.Empty(t, listed.Key, "a secret is shown once")
		states[listed.ID] = listed.State
	}
	require.Equal(t, map[string]string{k.ID: "expired", second.ID: "expired", third.ID: "revoked", admin[len("Authorization: Bearer sek_"):][:12]: "active"}, states)
	fromFile, err := l.file.Load()
	require.NoError(t, err)
	require.Equal(t, l.guard.Keys(), fromFile.All(), "and it is on disk")
}

func TestTheFirstKeyIsNotMadeOverHTTP(t *testing.T) {
	for name, keys := range map[string]httpserver.Keys{"no keys": withKeys(t, access.Options{}).guard, "no keys at all": nil} {
		t.Run(name, func(t *testing.T) {
			n := start(t, setup{http: httpserver.Options{Keys: keys}})
			for request, body := range map[string]string{
				"GET /admin/keys": "", "POST /admin/keys": `{"name":"a","scopes":["admin"]}`, "DELETE /admin/keys/a": "", "POST /admin/keys/a/rotate": "",
			} {
				method, path, _ := strings.Cut(request, " ")
				r := refused(t, n.do(method, path, body), http.StatusForbidden, "forbidden")
				require.Contains(t, string(r.Detail), "sekali keys create")
			}
		})
	}
}

func TestWhatIsNoKeyIsRefusedWithItsPlace(t *testing.T) {
	l := withKeys(t, access.Options{})
	admin := l.key(t, "ops", access.Admin)
	n := start(t, l.setup)
	for body, at := range map[string]string{
		`{"scopes":["read"]}`:                                                "body.name",
		`{"name":"ops","scopes":["read"]}`:                                   "body.name",
		`{"name":"a"}`:                                                       "body.scopes",
		`{"name":"a","scopes":["all"]}`:                                      "body.scopes",
		`{"name":"a","scopes":"read"}`:                                       "body.scopes",
		`{"name":"a","scopes":["read"],"topic_prefix":"a"}`:                  "body.topic_prefix",
		`{"name":"a","scopes":["read"],"topic_prefixes":[""]}`:               "body.topic_prefixes",
		`{"name":"a","scopes":["admin"],"topic_prefixes":["a"]}`:             "body.topic_prefixes",
		`{"name":"a","scopes":["read"],"expires_in":"90d"}`:                  "body.expires_in",
		`{"name":"a","scopes":["read"],"expires_in":"-1h"}`:                  "body.expires_in",
		`{"name":"a","scopes":["read"],"rate":{"per_second":-1}}`:            "body.rate",
		`{"name":"a","scopes":["read"],"rate":{"per_minute":1}}`:             "body.rate",
		`{"name":"a","scopes":["read"],"rate":{"per_second":1,"burst":1.5}}`: "body.rate",
		`[]`: "body",
	} {
		list := problems(t, n.do("POST", "/admin/keys", body, admin), "invalid_key")
		require.Equal(t, at, list[0].at(), body)
	}
	require.Equal(t, "body.overlap", problems(t, n.do("POST", "/admin/keys/ops/rotate", `{"overlap":"soon"}`, admin), "invalid_key")[0].at())
	for _, path := range []string{"/admin/keys", "/admin/keys/ops/rotate"} {
		refused(t, n.do("POST", path, `{"`, admin), http.StatusBadRequest, "malformed")
		refused(t, n.do("POST", path, `{}`, admin, "Content-Type: text/plain"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	require.Len(t, n.listedKeys(admin), 1, "nothing was made")
}

// failingKeys is a store of keys that cannot write.
type failingKeys struct{ *access.Guard }

func (failingKeys) Create(access.Spec) (access.Key, access.Token, error) {
	return access.Key{}, access.Token{}, errors.New("write /secret/path: no space left")
}

func TestAKeyThatCannotBeKeptIsNotHandedOut(t *testing.T) {
	l := withKeys(t, access.Options{})
	admin := l.key(t, "ops", access.Admin)
	l.http.Keys = failingKeys{l.guard}
	n := start(t, l.setup)
	a := n.do("POST", "/admin/keys", `{"name":"a","scopes":["read"]}`, admin)
	refused(t, a, http.StatusInternalServerError, "internal")
	require.NotContains(t, string(a.body), "/secret/path")
	require.NotContains(t, string(a.body), "sek_")
}

func TestChangesOfKeysAreAudited(t *testing.T) {
	l := withKeys(t, access.Options{})
	admin := l.key(t, "ops", access.Admin)
	log, lines := newSignal("keys were changed by the admin API")
	l.http.Logger = log
	n := start(t, l.setup)
	k := made(t, n.do("POST", "/admin/keys", `{"name":"a","scopes":["read"]}`, admin, "X-Request-Id: mine"))
	rotated := made(t, n.do("POST", "/admin/keys/a/rotate", "", admin))
	n.do("DELETE", "/admin/keys/"+rotated.ID, "", admin)
	for _, want := range []map[string]string{
		{"change": "create", "key_id": k.ID, "request_id": "mine"},
		{"change": "rotate", "key_id": rotated.ID},
		{"change": "revoke", "key_id": rotated.ID},
	} {
		want["by_name"], want["name"] = "ops", "a"
		line := <-lines
		got := map[string]string{}
		line.Attrs(func(a slog.Attr) bool {
			got[a.Key] = a.Value.String()
			return true
		})
		for key, value := range want {
			require.Equal(t, value, got[key], key)
		}
		text, err := json.Marshal(got)
		require.NoError(t, err)
		for _, secret := range []string{k.Key, rotated.Key, admin} {
			require.NotContains(t, string(text), secret[len(secret)-43:])
		}
	}
}
