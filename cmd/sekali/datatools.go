package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sekali/internal/progress"
	"sekali/persistence/sqlite"
)

// What verify, backup, restore and doctor have in common.

func defineDataDirFlag(f *pflag.FlagSet, dir *string, usage string) {
	f.StringVar(dir, "data-dir", "./data", usage)
}

// interruptible runs f with a context that ends at Ctrl-C or SIGTERM, and gives
// its error an exit code.
func interruptible(cmd *cobra.Command, f func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := f(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitWith(exitFailed, errors.New("interrupted"))
	}
	return dataError(err)
}

// dataError gives an error of the store's tools its exit code.
func dataError(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*sqlite.InUseError](err); ok {
		return exitWith(exitInUse, err)
	}
	_, refused := errors.AsType[*sqlite.RefusedError](err)
	_, unsound := errors.AsType[*sqlite.UnsoundError](err)
	if refused || unsound {
		return exitWith(exitFailed, err)
	}
	return exitWith(exitStorage, err)
}

// partUnits are what the parts of the store's tools count.
var partUnits = map[string]string{"index": "entries", "files": "MiB", "repeats": "rows", "copy repeats": "rows"}

// parts shows the progress of the parts of a command, one after the other.
type parts struct {
	display progress.Display

	mu    sync.Mutex
	name  string
	done  int64
	phase *progress.Phase
}

func newParts(cmd *cobra.Command) *parts {
	return &parts{display: progress.Display{Out: cmd.ErrOrStderr(), Terminal: isTerminal(cmd.ErrOrStderr())}}
}

// tell is what the store calls, from several goroutines.
func (p *parts) tell(part string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == nil || part != p.name || done < p.done && done == 0 {
		p.finish()
		unit := partUnits[part]
		if unit == "" {
			unit = "events"
		}
		p.name, p.done = part, 0
		if total > 0 {
			p.phase = p.display.Count(part, unit, total)
		} else {
			p.phase = p.display.Unknown(part)
		}
	}
	if done > p.done { // they may overtake each other
		p.phase.Add(int(done - p.done))
		p.done = done
	}
}

// end ends the display.
func (p *parts) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func (p *parts) finish() {
	if p.phase != nil {
		p.phase.Finish()
		p.phase = nil
	}
}

// writeResult writes v as JSON, or what text writes.
func writeResult(w io.Writer, output string, v any, text func(t *tabwriter.Writer)) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return exitWith(exitFailed, encoder.Encode(v))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	text(t)
	return exitWith(exitFailed, t.Flush())
}

// line writes a line of a table; Flush reports the error.
func line(t *tabwriter.Writer, name, format string, args ...any) {
	_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func countText(n int64) string { return humanize.Comma(n) }

// number writes n and the noun that it counts.
func number(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return countText(n) + " " + noun + "s"
}
