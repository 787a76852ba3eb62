package access

import (
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"regexp"
	"strings"
)

// A token is sek_<id>_<secret>. Secret scanners can be told the form:
// sek_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}.
const (
	tokenPrefix = "sek_"
	idLength    = 12
	// secretLength letters of 62 have 256 bits.
	secretLength = 43
	tokenLength  = len(tokenPrefix) + idLength + 1 + secretLength
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Token is a key's secret on the way to its owner. Whatever prints, logs or
// encodes it gets it without its secret part; Reveal alone gives it away.
type Token struct{ text string }

// newToken draws a token from the system's source of random numbers, which
// does not fail.
func newToken() Token {
	return Token{tokenPrefix + randomText(idLength) + "_" + randomText(secretLength)}
}

// randomText draws letters evenly: bytes beyond the last multiple of 62 are
// drawn again.
func randomText(length int) string {
	const most = 256 - 256%len(alphabet)
	text := make([]byte, 0, length)
	var drawn [64]byte
	for {
		_, _ = rand.Read(drawn[:]) // it ends the process rather than fail
		for _, b := range drawn {
			if int(b) >= most {
				continue
			}
			text = append(text, alphabet[int(b)%len(alphabet)])
			if len(text) == length {
				return string(text)
			}
		}
	}
}

// Reveal returns the token as its owner sends it.
func (t Token) Reveal() string { return t.text }

// ID returns the part that is no secret.
func (t Token) ID() string { return t.text[len(tokenPrefix) : len(tokenPrefix)+idLength] }

// Hash returns what is kept of the token.
func (t Token) Hash() Hash { return sha256.Sum256([]byte(t.text)) }

// String returns the token without its secret part.
func (t Token) String() string { return tokenPrefix + t.ID() + "_[secret]" }

// GoString implements fmt.GoStringer.
func (t Token) GoString() string { return t.String() }

// LogValue implements slog.LogValuer.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// idOf returns the id of what may be a token, without a look at its secret.
func idOf(token []byte) (id []byte, ok bool) {
	const underscore = len(tokenPrefix) + idLength
	if len(token) != tokenLength || string(token[:len(tokenPrefix)]) != tokenPrefix || token[underscore] != '_' {
		return nil, false
	}
	return token[len(tokenPrefix):underscore], true
}

var inText = regexp.MustCompile(`(sek_[0-9A-Za-z]{12}_)[0-9A-Za-z]{8,}`)

// MayHoldToken reports whether a text has the beginning of a token in it: then
// it is not to be repeated as it is.
func MayHoldToken(text string) bool { return strings.Contains(text, tokenPrefix) }

// Redact returns a text without the secret parts of tokens in it.
func Redact(text string) string {
	if !MayHoldToken(text) { // nearly always, and much faster
		return text
	}
	return inText.ReplaceAllString(text, "${1}[secret]")
}
