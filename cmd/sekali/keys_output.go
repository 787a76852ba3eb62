package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sekali/access"
)

// shownKey is a key in JSON, as the admin API shows it.
type shownKey struct {
	Token string `json:"key,omitempty"` // when it is made, and never again
	access.Key
	State access.State `json:"state"`
}

// writeNewKey prints a key with its token. The table has the token in a line of
// its own and says what to do with it.
func writeNewKey(w io.Writer, output, path string, key access.Key, token access.Token) error {
	if output == "json" {
		return writeIndented(w, shownKey{token.Reveal(), key, key.State(time.Now())})
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	_, err := fmt.Fprintf(w, `
  %s

This is the only time that it is shown: keep it as you keep a password.
Clients send it as 'Authorization: Bearer <key>'; curl and the load test like
this:

  export SEKALI_API_KEY=%s
  curl -H "Authorization: Bearer $SEKALI_API_KEY" ...

id %s, name %s, scopes %s, topics %s, rate %s, expires %s
kept as a hash in %s
`, token.Reveal(), token.Reveal(), key.ID, key.Name, joinScopes(key.Scopes), topicsOf(key), rateOf(key), when(key.Expires, "never"), path)
	return exitWith(exitFailed, err)
}

// writeKeys prints keys without their secrets, which nobody has.
func writeKeys(w io.Writer, output string, keys []access.Key) error {
	now := time.Now()
	if output == "json" {
		list := make([]shownKey, len(keys))
		for i, k := range keys {
			list[i] = shownKey{"", k, k.State(now)}
		}
		return writeIndented(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tNAME\tSCOPES\tTOPICS\tRATE\tCREATED\tEXPIRES\tLAST USED\tSTATE") // Flush reports the error
	for _, k := range keys {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, joinScopes(k.Scopes), topicsOf(k), rateOf(k),
			when(k.Created, ""), when(k.Expires, "never"), when(k.LastUsed, "never"), k.State(now)) // as above
	}
	return exitWith(exitFailed, t.Flush())
}

func writeIndented(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return exitWith(exitFailed, encoder.Encode(v))
}

func joinScopes(scopes []access.Scope) string {
	var names []string
	for _, s := range scopes {
		names = append(names, string(s))
	}
	return strings.Join(names, ",")
}

func topicsOf(k access.Key) string {
	if !k.Restricted() {
		return "all"
	}
	var quoted []string
	for _, p := range k.TopicPrefixes {
		if p = strconv.Quote(p); !strings.ContainsAny(p, `\ ,`) {
			p = strings.Trim(p, `"`)
		}
		quoted = append(quoted, p+"*")
	}
	return strings.Join(quoted, ",")
}

func rateOf(k access.Key) string {
	if k.Rate == (access.Rate{}) {
		return "no limit"
	}
	rate := rateValue(k.Rate.PerSecond)
	return fmt.Sprintf("%s (burst %d)", &rate, k.Rate.Burst)
}

func when(t time.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(time.RFC3339)
}
