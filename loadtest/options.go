package loadtest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"sekali/internal/progress"
)

// Options describe a run. The zero value of each field stands for its default
// where one is named.
type Options struct {
	URL    string // of the server
	APIKey string // "" sends none
	// RootCAs are trusted for https instead of the system's; nil stands for those.
	RootCAs *x509.CertPool

	Events      int // sends, repeats included; 5,000 by default
	Connections int // 8 by default
	// BatchSize is the number of events per request, 100 by default; 1 sends
	// single events as plain objects.
	BatchSize    int
	Topics       int // 10 by default
	PayloadBytes int // of each event, 150 by default, at least MinPayloadBytes
	// DuplicateShare is the part of the sends that repeat an id, 0 to 1. It has
	// no default: 0 means none.
	DuplicateShare float64
	// Seed decides the plan; runs with the same seed and options send the same
	// events in the same order, but for the run id.
	Seed uint64
	// RunID sets this run's topics and ids apart from all others; random by
	// default.
	RunID string
	// Timeout bounds the sending, 5 minutes by default. Reading back has the
	// same time again.
	Timeout time.Duration

	// Exclusive says that nobody else writes to the server, so that /stats must
	// match exactly.
	Exclusive bool
	// Ledger receives a line for each acknowledged event, one write per answer;
	// nil keeps none. See ReadLedger.
	Ledger io.Writer
	// Progress receives a progress bar, or plain lines when Terminal is false;
	// nil shows none.
	Progress io.Writer
	Terminal bool
}

func (o *Options) display() progress.Display {
	return progress.Display{Out: o.Progress, Terminal: o.Terminal}
}

// MinPayloadBytes is the smallest payload that holds an event's number.
const MinPayloadBytes = 32

const maxPayloadBytes = 1 << 20

// WithDefaults returns the options that a run uses, or what is wrong with them.
func (o Options) WithDefaults() (Options, error) {
	for field, value := range map[*int]int{
		&o.Events: 5000, &o.Connections: 8, &o.BatchSize: 100, &o.Topics: 10, &o.PayloadBytes: 150,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.RunID == "" {
		o.RunID = newRunID()
	}
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case o.URL == "":
		return errors.New("no server URL is given")
	case o.Events < 1 || o.Events > 100_000_000:
		return fmt.Errorf("events must be 1 to 100,000,000, not %d", o.Events)
	case o.Connections < 1 || o.Connections > 10_000:
		return fmt.Errorf("connections must be 1 to 10,000, not %d", o.Connections)
	case o.BatchSize < 1 || o.BatchSize > 10_000:
		return fmt.Errorf("the batch size must be 1 to 10,000, not %d", o.BatchSize)
	case o.Topics < 1 || o.Topics > 1_000_000:
		return fmt.Errorf("topics must be 1 to 1,000,000, not %d", o.Topics)
	case o.PayloadBytes < MinPayloadBytes || o.PayloadBytes > maxPayloadBytes:
		return fmt.Errorf("payload bytes must be %d to %d, not %d", MinPayloadBytes, maxPayloadBytes, o.PayloadBytes)
	case !(o.DuplicateShare >= 0 && o.DuplicateShare <= 1): // NaN, too
		return fmt.Errorf("the share of duplicates must be 0 to 1, not %g", o.DuplicateShare)
	case o.Timeout < 0:
		return fmt.Errorf("the timeout must not be negative, but is %s", o.Timeout)
	case len(o.RunID) > 32:
		return fmt.Errorf("the run id %q is longer than 32 bytes", o.RunID)
	}
	return nil
}

func newRunID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // It never fails; see crypto/rand.
	return hex.EncodeToString(b[:])
}
