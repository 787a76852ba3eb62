package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sekali/internal/buildinfo"
	"sekali/persistence/sqlite"
)

func newBackupCommand() *cobra.Command {
	var (
		dir, to, output string
		incremental     bool
		rate            byteSize
	)
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy a data directory, whether a server uses it or not",
		Long: `Copy the events of a data directory up to the last one that is stored now, with
the counts of this moment and the API keys, into a new directory. A server that
uses the directory goes on: it is read in short steps. The copy is synced and
verified before it gets its name.

With --incremental, a backup that is already there gets what is new since; where
there is none, a whole one is made. The whole backup is verified again each
time. Killed at any moment, it leaves the older backup or the new one.

Exit codes: 0 done and verified, 1 refused (the place is taken, the disk has no
room) or the backup is not sound, 2 wrong usage, 74 something cannot be read or
written, 75 the backup is in use by another process.`,
		Example: `  sekali backup --data-dir /var/lib/sekali --to /backup/sekali-2026-11-22
  sekali backup --data-dir /var/lib/sekali --to /backup/sekali --incremental`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	defineDataDirFlag(f, &dir, "`directory` to copy")
	f.StringVar(&to, "to", "", "`directory` of the backup, best on another disk")
	f.BoolVar(&incremental, "incremental", false, "add what is new to the backup that is there")
	f.Var(&rate, "max-rate", "most bytes of events to read a second, like 20MiB; 0 is no limit")
	defineOutputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if to == "" {
			return usageErrorf("--to is missing; name the directory of the backup")
		}
		return interruptible(cmd, func(ctx context.Context) error {
			p := newParts(cmd)
			r, err := sqlite.Backup(ctx, dir, to, sqlite.BackupOptions{
				Incremental: incremental, BytesPerSecond: int64(rate), Version: buildinfo.Version(), Progress: p.tell,
			})
			p.end()
			if err != nil {
				return fmt.Errorf("no backup was made: %w", err)
			}
			return writeResult(cmd.OutOrStdout(), output, r, func(t *tabwriter.Writer) { writeBackup(t, r) })
		})
	}
	return cmd
}

func writeBackup(t *tabwriter.Writer, r *sqlite.BackupReport) {
	m := r.Manifest
	how := "of a directory at rest"
	if r.Online {
		how = "while it is in use"
	}
	line(t, "backup", "%s", r.Dir)
	line(t, "of", "%s, %s", r.Source, how)
	line(t, "holds", "%s up to seq %s, in %s; %s", number(m.Events, "event"), countText(m.LastSeq), number(m.Topics, "topic"), number(m.Duplicates, "repeat"))
	line(t, "copied", "%s with %s in %.1f s, %s/s", number(r.EventsCopied, "event"), bytesText(r.BytesCopied), r.CopySeconds,
		bytesText(int64(float64(r.BytesCopied)/max(r.CopySeconds, 1e-9))))
	line(t, "took", "%.1f s, synced and verified", r.Seconds)
}

func newRestoreCommand() *cobra.Command {
	var from, dir, output string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a data directory of a backup",
		Long: `Verify a backup and make a data directory of it, which must be missing or empty.
A server that starts on it knows every id that the backup has: what senders send
again is a duplicate, as before. The index is built anew.

What was stored after the backup is not in it: have the senders send that again.

Exit codes: 0 done, 1 refused (the directory is not empty, the disk has no room)
or the backup is not sound, 2 wrong usage, 74 something cannot be read or
written, 75 one of the directories is in use.`,
		Example: `  sekali restore --from /backup/sekali --data-dir /var/lib/sekali`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&from, "from", "", "`directory` of the backup")
	defineDataDirFlag(cmd.Flags(), &dir, "`directory` to restore into")
	defineOutputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if from == "" {
			return usageErrorf("--from is missing; name the directory of the backup")
		}
		return interruptible(cmd, func(ctx context.Context) error {
			p := newParts(cmd)
			r, err := sqlite.Restore(ctx, from, dir, sqlite.RestoreOptions{Progress: p.tell})
			p.end()
			if err != nil {
				return fmt.Errorf("nothing was restored: %w", err)
			}
			return writeResult(cmd.OutOrStdout(), output, r, func(t *tabwriter.Writer) { writeRestored(t, r) })
		})
	}
	return cmd
}

func writeRestored(t *tabwriter.Writer, r *sqlite.RestoreReport) {
	m := r.Manifest
	keys := "the backup had none"
	if r.Keys {
		keys = "those of the backup: revoke again what was revoked since then"
	}
	line(t, "restored", "%s", r.Dir)
	line(t, "from", "%s, taken %s", r.Backup, m.Updated.Local().Format("2006-01-02 15:04:05 MST"))
	line(t, "holds", "%s up to seq %s, in %s; %s", number(m.Events, "event"), countText(m.LastSeq), number(m.Topics, "topic"), number(m.Duplicates, "repeat"))
	line(t, "keys", "%s", keys)
	line(t, "took", "%.1f s", r.Seconds)
	line(t, "next", "start the server, and have the senders send again what they sent since then")
}
