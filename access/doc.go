// Package access owns the keys of the API: what a key is, how its secret is
// made and checked, what it may do, and how much.
//
// A key is a name with scopes, for all topics or for those with certain
// prefixes. Its secret is shown once, when it is made; afterwards only its
// SHA-256 exists. [Keys] is the list of them as plain data, without clock or
// I/O. [Guard] is the list in force in a running server: it follows its [Store],
// answers who sends a request, and counts what each key has under way.
//
// As soon as one key exists every request needs one. Revoked and expired keys
// count: revoking the last one locks the server, it does not open it. A Guard
// that had keys never goes back to having none, whatever becomes of its store.
//
// Guard and Grant are safe for use by many goroutines; the rest is plain data.
package access
