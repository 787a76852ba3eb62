// Package apptest tests the real binary from outside: it starts it as a
// process, talks to it over HTTP, kills it and looks at what is left. It knows
// the domain and the client and nothing of what is inside.
package apptest
