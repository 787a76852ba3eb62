package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sekali/persistence/sqlite"
)

func newVerifyCommand() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check every byte of a data directory or a backup",
		Long: `Read everything in a data directory that no server uses, or in a backup: every
event with its checksum, that no id is stored twice, the order of the events,
the counts, every index file, the log against the high-water mark, the pages of
the database, and of a backup the checksums of its files. Nothing is changed.

A directory in use cannot be verified: back it up, which verifies the backup, or
stop the server.

Exit codes: 0 everything is sound, 1 something is wrong, 2 wrong usage, 74 the
directory cannot be read, 75 it is in use.`,
		Example: `  sekali verify --data-dir /var/lib/sekali
  sekali verify --data-dir /backup/sekali --output json`,
		Args: cobra.NoArgs,
	}
	defineDataDirFlag(cmd.Flags(), &dir, "`directory` to verify: one of a stopped server, or a backup")
	defineOutputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		return interruptible(cmd, func(ctx context.Context) error { return verify(ctx, cmd, dir, output) })
	}
	return cmd
}

func verify(ctx context.Context, cmd *cobra.Command, dir, output string) error {
	p := newParts(cmd)
	r, err := sqlite.Verify(ctx, dir, sqlite.VerifyOptions{Progress: p.tell})
	p.end()
	if _, ok := errors.AsType[*sqlite.InUseError](err); ok {
		return fmt.Errorf("%w; stop it, or verify a backup: 'sekali backup --data-dir %s --to DIR' takes and verifies one while it runs", err, dir)
	}
	if err != nil {
		return err
	}
	if err := writeResult(cmd.OutOrStdout(), output, r, func(t *tabwriter.Writer) { writeVerified(t, r) }); err != nil {
		return err
	}
	if !r.Sound() {
		return exitWith(exitFailed, fmt.Errorf("%s is not sound; the lines above say what was found and what to do", dir))
	}
	return nil
}

func writeVerified(t *tabwriter.Writer, r *sqlite.VerifyReport) {
	line(t, "directory", "%s", r.Dir)
	line(t, "events", "%s up to seq %s, in %s", countText(r.Events), countText(r.LastSeq), number(r.Topics, "topic"))
	if r.AcceptedMissing > 0 {
		line(t, "", "%s are missing since their loss was accepted", countText(r.AcceptedMissing))
	}
	line(t, "repeats", "%s, %s", number(r.Duplicates, "duplicate"), number(r.Conflicts, "conflict"))
	line(t, "database", "%s", bytesText(r.DatabaseBytes))
	if r.LogBytes > 0 {
		line(t, "log", "%s with %s", bytesText(r.LogBytes), number(r.LogTransactions, "transaction"))
	}
	line(t, "index", "%s, %s", number(int64(r.IndexFiles), "file"), countText(r.IndexEntries)+" entries")
	line(t, "took", "%.1f s, %s events a second", r.Seconds, countText(int64(r.EventsPerSecond)))
	for _, f := range r.Findings {
		line(t, "", "")
		line(t, "FOUND", "%s: %s", f.Kind, countText(f.Count))
		for _, example := range f.Examples {
			line(t, "", "%s", example)
		}
		if more := f.Count - int64(len(f.Examples)); more > 0 && len(f.Examples) == 10 {
			line(t, "", "... and more")
		}
		line(t, "  do", "%s", f.Advice)
	}
	if r.Sound() {
		line(t, "result", "sound")
	}
}
