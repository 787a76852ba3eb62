// Package contender runs the peers: it starts each as a process of its own,
// gives it the events, ends it with kill -9, starts it again, and reads back
// everything that it has.
//
// A Peer is what differs between them; Run is what does not, so every peer is
// fed, measured and checked by the same code. A run that a check finds wrong is
// an error and has no figures. Servers listen on the loopback only, their data
// is in the directory that Run was given, and they die with this process.
package contender
