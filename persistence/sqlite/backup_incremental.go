package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// incremental adds to a backup so that it is at any moment either the old or
// the new one, whole. What is new is committed to the log of the backup's
// database, whose file stays as it is; a log that the manifest does not list is
// not looked at by anyone. The new manifest lists it. Then the log is moved
// into the database, and a last manifest lists only that.
func (b *backup) incremental(ctx context.Context) (err error) {
	b.report.Incremental = true
	before, err := readManifest(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("%s exists and is not a backup; name another directory", b.dir)
	}
	if err != nil {
		return err
	}
	lock, err := lockDir(b.dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.release() }() // the end of the process does, too
	if before, err = b.settleInterrupted(ctx, before); err != nil {
		return fmt.Errorf("complete the incremental backup before: %w", err)
	}
	if b.snap, err = b.from.snapshot(ctx); err != nil {
		return fmt.Errorf("read %s: %w", b.report.Source, err)
	}
	if err := b.from.checkLoss(ctx, b.snap); err != nil {
		return err
	}
	if err := b.checkContinues(ctx, before); err != nil {
		return err
	}
	if err := b.checkSpace(before.file(databaseFile).Bytes); err != nil {
		return err
	}
	after, err := b.addToLog(ctx, before)
	if err != nil {
		return err
	}
	return b.settle(ctx, after)
}

// checkContinues refuses a backup of another store, and one that holds what
// the store does not: that went back in time.
func (b *backup) checkContinues(ctx context.Context, before *Manifest) error {
	if before.Store != b.snap.store {
		return refuse("%s is the backup of another store; name another directory", b.dir)
	}
	if before.LastSeq > b.snap.lastSeq || before.LastDuplicate > b.snap.lastDuplicate {
		return refuse("%s has events up to seq %d, %s only up to %d: the store lost events or was restored from an older backup; keep this backup and name another directory",
			b.dir, before.LastSeq, b.report.Source, b.snap.lastSeq)
	}
	db, err := openAtRest(filepath.Join(b.dir, databaseFile), 1, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it was only read
	var sums [2]int64
	for i, db := range []*sql.DB{db, b.from.db} {
		err := db.QueryRowContext(ctx, `select checksum from events where seq = ?`, before.LastSeq).Scan(&sums[i])
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("compare the last event: %w", err)
		}
	}
	if sums[0] != sums[1] {
		return refuse("event %d of %s is not that of %s: the store was restored from an older backup and went on from there; name another directory", before.LastSeq, b.dir, b.report.Source)
	}
	return nil
}

// addToLog commits what is new to the log, and makes the manifest that lists
// the log the one in force.
func (b *backup) addToLog(ctx context.Context, before *Manifest) (_ *Manifest, err error) {
	to, err := openTargetForMore(b.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.closeKeepingLog(ctx, to)) }()
	after, err := b.copyInto(ctx, to, before)
	if err != nil {
		return nil, err
	}
	b.step("committed")
	if err := b.copyKeys(b.dir, after); err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, databaseFile)
	if err := b.compare(ctx, b.dir, hasLog(path), after); err != nil {
		return nil, err
	}
	changed := databaseFile
	if hasLog(path) {
		changed = logFile
	}
	if err := after.describeFiles(b.dir, changed); err != nil {
		return nil, err
	}
	if err := after.write(b.dir); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	b.step("listed")
	return after, nil
}

// closeKeepingLog closes a target without its log being moved into the
// database, which the last connection to be closed does: so that is one that
// cannot write.
func (b *backup) closeKeepingLog(ctx context.Context, to *backupTarget) error {
	last, err := sql.Open("sqlite", readerDSN(filepath.Join(b.dir, databaseFile)))
	if err != nil {
		return errors.Join(err, to.close())
	}
	err = last.QueryRowContext(context.WithoutCancel(ctx), "select count(*) from meta").Scan(new(int))
	return errors.Join(err, to.close(), last.Close())
}

// settle moves a listed log into the database and lists only that.
func (b *backup) settle(ctx context.Context, m *Manifest) error {
	if m.file(logFile) != nil {
		to, err := openTargetForMore(b.dir)
		if err != nil {
			return err
		}
		_, err = to.db.ExecContext(ctx, "pragma wal_checkpoint(truncate)")
		if err := errors.Join(err, to.close()); err != nil {
			return fmt.Errorf("move the log into the database: %w", err)
		}
		b.step("moved")
		if err := m.describeFiles(b.dir, databaseFile); err != nil {
			return err
		}
		if err := m.write(b.dir); err != nil {
			return fmt.Errorf("write the manifest: %w", err)
		}
	}
	b.step("settled")
	b.report.Manifest = m
	return b.removeUnlisted(m)
}

// settleInterrupted does what a killed incremental backup has not come to.
func (b *backup) settleInterrupted(ctx context.Context, m *Manifest) (*Manifest, error) {
	want := m.file(logFile)
	if want == nil {
		return m, b.removeUnlisted(m)
	}
	got, err := describe(b.dir, logFile)
	if err != nil {
		return nil, err
	}
	if got == nil || *got != *want {
		// The log was moved, whole or in part, before its manifest was replaced.
		if err := b.compare(ctx, b.dir, hasLog(filepath.Join(b.dir, databaseFile)), m); err != nil {
			return nil, err
		}
	}
	return m, b.settle(ctx, m)
}

// removeUnlisted removes what killed backups have left behind.
func (b *backup) removeUnlisted(m *Manifest) error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, databaseFile+"-") || strings.HasPrefix(name, keysCopyPrefix) || strings.HasSuffix(name, ".tmp")
		if !ours || m.file(name) != nil {
			continue
		}
		if err := os.Remove(filepath.Join(b.dir, name)); err != nil {
			return fmt.Errorf("remove what an interrupted backup left: %w", err)
		}
	}
	return nil
}
