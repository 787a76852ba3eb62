// Package archtest holds the rules of who may import whom, and the tests that
// keep them. It has no code of its own.
package archtest
