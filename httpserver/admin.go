package httpserver

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// keyAnswer is a key as the admin API shows it.
type keyAnswer struct {
	// Token is in the answer that creates a key, and nowhere else.
	Token string `json:"key,omitempty"`
	access.Key
	State access.State `json:"state"`
}

func showKeys(keys []access.Key) []keyAnswer {
	now, shown := time.Now(), make([]keyAnswer, len(keys))
	for i, k := range keys {
		shown[i] = keyAnswer{Key: k, State: k.State(now)}
	}
	return shown
}

// administrator returns who manages keys, or an error while nobody may: the
// first key is made by whoever has the data directory, not by whoever comes
// first.
func (s *Server) administrator(ctx *fasthttp.RequestCtx) (*access.Grant, error) {
	if grant := grantOf(ctx); grant != nil {
		return grant, nil
	}
	return nil, problem(sekali.CodeForbidden, "there is no key yet, and the first one is made on the server: sekali keys create --data-dir DIR --name NAME --scope admin")
}

// audit logs a change of the keys: who made it, and with which request.
func (s *Server) audit(ctx *fasthttp.RequestCtx, by *access.Grant, what string, key access.Key) {
	s.log.Info("keys were changed by the admin API", "change", what, "key_id", key.ID, "name", key.Name, "scopes", key.Scopes,
		"by_key_id", by.Key().ID, "by_name", by.Key().Name, "from", ctx.RemoteAddr().String(), "request_id", requestID(ctx))
}

// handleListKeys answers GET /admin/keys: every key, without its secret.
func (s *Server) handleListKeys(ctx *fasthttp.RequestCtx, _ []string) error {
	if _, err := s.administrator(ctx); err != nil {
		return err
	}
	return writeValue(ctx, fasthttp.StatusOK, map[string]any{"keys": showKeys(s.Keys.Keys())})
}

// newKey is the body of POST /admin/keys.
type newKey struct {
	Name          string         `json:"name"`
	Scopes        []access.Scope `json:"scopes"`
	TopicPrefixes []string       `json:"topic_prefixes"`
	ExpiresIn     string         `json:"expires_in"` // like 2160h
	Rate          access.Rate    `json:"rate"`
}

// handleCreateKey answers POST /admin/keys with the new key and, this once, its
// secret.
func (s *Server) handleCreateKey(ctx *fasthttp.RequestCtx, _ []string) error {
	by, err := s.administrator(ctx)
	if err != nil {
		return err
	}
	var asked newKey
	if err := readAdminBody(ctx, &asked); err != nil {
		return err
	}
	lifetime, err := parseSpan("expires_in", asked.ExpiresIn, 0)
	if err != nil {
		return err
	}
	key, token, err := s.Keys.Create(access.Spec{
		Name: asked.Name, Scopes: asked.Scopes, TopicPrefixes: asked.TopicPrefixes, Lifetime: lifetime, Rate: asked.Rate,
	})
	if err != nil {
		return keyError(err)
	}
	s.audit(ctx, by, "create", key)
	return writeToken(ctx, key, token)
}

// defaultOverlap is how long the old secrets stay valid after a rotation.
const defaultOverlap = 24 * time.Hour

// handleRotateKey answers POST /admin/keys/{key}/rotate with the successor.
func (s *Server) handleRotateKey(ctx *fasthttp.RequestCtx, args []string) error {
	by, err := s.administrator(ctx)
	if err != nil {
		return err
	}
	var asked struct {
		Overlap string `json:"overlap"` // like 24h, or 0
	}
	if len(ctx.PostBody()) > 0 {
		if err := readAdminBody(ctx, &asked); err != nil {
			return err
		}
	}
	overlap, err := parseSpan("overlap", asked.Overlap, defaultOverlap)
	if err != nil {
		return err
	}
	key, token, err := s.Keys.Rotate(args[0], overlap)
	if err != nil {
		return keyError(err)
	}
	s.audit(ctx, by, "rotate", key)
	return writeToken(ctx, key, token)
}

// handleRevokeKey answers DELETE /admin/keys/{key} with the keys that open
// nothing any more.
func (s *Server) handleRevokeKey(ctx *fasthttp.RequestCtx, args []string) error {
	by, err := s.administrator(ctx)
	if err != nil {
		return err
	}
	revoked, err := s.Keys.Revoke(args[0])
	if err != nil {
		return keyError(err)
	}
	for _, key := range revoked {
		s.audit(ctx, by, "revoke", key)
	}
	return writeValue(ctx, fasthttp.StatusOK, map[string]any{"revoked": showKeys(revoked)})
}

func writeToken(ctx *fasthttp.RequestCtx, key access.Key, token access.Token) error {
	answer := showKeys([]access.Key{key})[0]
	answer.Token = token.Reveal()
	return writeValue(ctx, fasthttp.StatusCreated, answer)
}

// writeValue answers with a value as JSON.
func writeValue(ctx *fasthttp.RequestCtx, status int, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	writeJSON(ctx, status, append(body, '\n'))
	return nil
}

// readAdminBody reads a JSON object without members that it does not know: a
// misspelt limit must not make a key without one.
func readAdminBody(ctx *fasthttp.RequestCtx, into any) error {
	switch coding, err := contentCoding(&ctx.Request.Header); {
	case err != nil:
		return err
	case coding != codingIdentity:
		return problem(codeUnsupportedEncoding, "the body is compressed; send it plain")
	}
	if err := checkContentType(&ctx.Request.Header); err != nil {
		return err
	}
	err := json.Unmarshal(ctx.PostBody(), into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return problem(codeMalformed, "the body is not valid JSON")
	}
	field := ""
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		for field = range semantic.JSONPointer.Tokens() {
			break
		}
	}
	return invalidKey(field, "It is unknown or of another type than it should be, or something in it is")
}

// parseSpan reads a time like 24h; what is not given is the default.
func parseSpan(field, text string, absent time.Duration) (time.Duration, error) {
	if text == "" {
		return absent, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, invalidKey(field, "It should be a time like 24h or 90m")
	}
	return d, nil
}

func invalidKey(field, msg string) error {
	return &validationError{code: codeInvalidKey, base: location{root: "body"}, faults: []fault{{field: field, typ: "value_error", msg: msg}}}
}

// keyError gives an error of the keys its answer.
func keyError(err error) error {
	if refused, ok := errors.AsType[*access.SpecError](err); ok {
		return invalidKey(refused.Field, refused.Message)
	}
	if errors.Is(err, access.ErrNoSuchKey) {
		return problem(sekali.CodeNotFound, "there is no active key of that name or id; GET /admin/keys lists them all")
	}
	return err
}
