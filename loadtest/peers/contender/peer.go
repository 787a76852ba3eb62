package contender

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sekali/loadtest/peers/events"
	"sekali/loadtest/peers/measure"
)

// Peer is one way of storing events once. It is used by one goroutine at a
// time; Load may use several of its own.
type Peer interface {
	// Start starts it on a directory, a new one or one that an earlier Start
	// left behind, and returns when it serves. Stop must follow, also after an
	// error.
	Start(ctx context.Context, dir string) error
	// Version tells what is running.
	Version(ctx context.Context) (string, error)
	// Process is the first of the processes that store.
	Process() int
	// Load sends what the feed has and returns when everything is answered.
	// Each answer goes to the recorder.
	Load(ctx context.Context, feed *Feed, recorder *measure.Recorder) error
	// Crash ends the processes as kill -9 does.
	Crash() error
	// Stop ends the processes in good order.
	Stop() error
	Holdings
}

// Holdings is what a peer has stored.
type Holdings interface {
	// Count is the number of ids that it remembers, by its own count.
	Count(ctx context.Context) (int64, error)
	// Each visits every event that it has, in any order.
	Each(ctx context.Context, visit func(events.Event) error) error
}

// Kind describes a peer.
type Kind struct {
	Name    string // as chosen on the command line
	Label   string
	Family  string // ways of driving the same server; reports show the best
	Package string // the Debian package or Go module to install, "" when there is none
	Unsafe  string // why its answers do not mean disk; "" when they do

	// Connections is 1 where more make no sense; otherwise it may be changed.
	Connections   int
	RequestEvents int // events in one request, so of one latency
	Settings      []string

	start func(Environment, Kind) Peer
}

// Environment is where the programs are.
type Environment struct {
	Sekali string // path of the binary
	NATS   string
}

// Kinds returns every peer, in the order in which a round runs them.
func Kinds() []Kind {
	return slices.Concat(sekaliKinds(), natsKinds(), postgresKinds(), redisKinds(), sqliteKinds())
}

// Choose returns the kinds of a list of names or families with commas, or all
// of them for "all".
func Choose(list string) ([]Kind, error) {
	if list == "all" {
		return Kinds(), nil
	}
	var chosen []Kind
	for name := range strings.SplitSeq(list, ",") {
		found := slices.DeleteFunc(Kinds(), func(k Kind) bool { return k.Name != name && k.Family != name })
		if len(found) == 0 {
			return nil, fmt.Errorf("there is no peer %q; there are: all, %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, found...)
	}
	return chosen, nil
}

func names() []string {
	var all []string
	for _, k := range Kinds() {
		all = append(all, k.Name)
		if k.Family != k.Name && !slices.Contains(all, k.Family) {
			all = append(all, k.Family)
		}
	}
	return all
}
