package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// restoringFile is in a data directory while it is being restored.
const restoringFile = "RESTORING"

// refuseUnserved refuses directories that are none to serve: a backup, which
// would no longer be what its manifest says, and one that a killed restore left.
func refuseUnserved(dir string) error {
	for name, what := range map[string]string{
		manifestFile:  "is a backup; make a data directory of it with 'sekali restore'",
		restoringFile: "was not restored to the end; run 'sekali restore' again",
	} {
		switch _, err := os.Lstat(filepath.Join(dir, name)); {
		case err == nil:
			return fmt.Errorf("%s %s", dir, what)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look for %s: %w", name, err)
		}
	}
	return nil
}

// RestoreOptions of a restore; the zero value is ready for use.
type RestoreOptions struct {
	Logger *slog.Logger // of the store while its index is built; default: discards
	// Progress is told how far each part is, as in VerifyOptions.
	Progress func(part string, done, total int64)
}

// RestoreReport is what a restore did.
type RestoreReport struct {
	Dir     string  `json:"dir"`
	Backup  string  `json:"backup"`
	Bytes   int64   `json:"bytes"`
	Keys    bool    `json:"keys"` // the API keys were restored, too
	Seconds float64 `json:"seconds"`

	Manifest *Manifest `json:"manifest"`
}

// Restore verifies the backup in from and makes a data directory of it in dir,
// which must be missing or empty. When it returns, everything is on the disk,
// the index was built and the counts are those of the backup. A killed restore
// leaves a directory that no server takes and that the next restore begins
// anew.
//
// A *RefusedError or an *UnsoundError mean that nothing was begun, an
// *InUseError that another process uses one of the directories.
func Restore(ctx context.Context, from, dir string, o RestoreOptions) (*RestoreReport, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	r := &restore{RestoreOptions: o, from: from, dir: dir, start: time.Now()}
	var err error
	if r.manifest, err = readManifest(from); errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("%s is not a backup: it has no %s", from, manifestFile)
	}
	if err != nil {
		return nil, err
	}
	lock, err := shareDir(from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.release() }() // nothing was written through it
	if err := r.checkBackup(ctx); err != nil {
		return nil, err
	}
	if err := r.copyAll(ctx); err != nil {
		return nil, fmt.Errorf("restore into %s: %w", dir, err)
	}
	if err := r.complete(ctx); err != nil {
		return nil, fmt.Errorf("open what was restored: %w", err)
	}
	return &RestoreReport{
		Dir: dir, Backup: from, Bytes: r.done, Keys: r.manifest.keys() != "",
		Seconds: time.Since(r.start).Seconds(), Manifest: r.manifest,
	}, nil
}

// restore is the state of one Restore.
type restore struct {
	RestoreOptions
	from, dir string
	manifest  *Manifest
	start     time.Time
	done      int64 // bytes copied
}

func (r *restore) checkBackup(ctx context.Context) error {
	report, err := verifyLocked(ctx, r.from, VerifyOptions{Progress: r.Progress})
	if err != nil {
		return err
	}
	if !report.Sound() {
		return &UnsoundError{report}
	}
	return nil
}

// copyAll copies the files of the backup into the directory, under its lock
// and behind a mark that keeps servers away.
func (r *restore) copyAll(ctx context.Context) (err error) {
	if err := r.checkDestination(); err != nil {
		return err
	}
	if err := makeDir(r.dir, realDisk{}); err != nil {
		return err
	}
	if err := checkRoom(r.dir, r.room()); err != nil {
		return err
	}
	lock, err := lockDir(r.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	words := fmt.Sprintf("being restored from %s since %s\n", r.from, r.start.UTC().Format(time.RFC3339))
	if err := writeFileDurably(filepath.Join(r.dir, restoringFile), []byte(words)); err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	for _, name := range r.names() {
		if err := r.copyFile(ctx, name); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return realDisk{}.SyncDir(r.dir)
}

// clear removes what a killed restore has left, of another backup perhaps: its
// keys would open the server, and its high-water mark refuse to start it.
func (r *restore) clear() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name != keysFile && name != markName && name != indexFolder && !strings.HasPrefix(name, databaseFile) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// names are the files of the backup: those of the manifest, and the database
// when the manifest lists its log instead.
func (r *restore) names() []string {
	names := []string{databaseFile}
	for _, f := range r.manifest.Files {
		if f.Name != databaseFile && (f.Name != logFile || hasLog(filepath.Join(r.from, databaseFile))) {
			names = append(names, f.Name)
		}
	}
	return names
}

// room is what the restored directory needs, with an index of 24 bytes an event.
func (r *restore) room() (need int64) {
	for _, name := range r.names() {
		if info, err := os.Stat(filepath.Join(r.from, name)); err == nil {
			need += info.Size()
		}
	}
	return need + 24*r.manifest.Events
}

// checkDestination refuses a directory that has anything in it, but for what a
// killed restore left.
func (r *restore) checkDestination() error {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(r.dir, restoringFile)); err == nil {
		return nil
	}
	for _, e := range entries {
		if e.Name() != lockFile && e.Name() != "lost+found" {
			return refuse("%s has %s in it; name a directory that is missing or empty", r.dir, e.Name())
		}
	}
	return nil
}

// copyFile copies a file, syncs it and compares it with the manifest.
func (r *restore) copyFile(ctx context.Context, name string) (err error) {
	from, err := os.Open(filepath.Join(r.from, name))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read
	target := name
	if name == r.manifest.keys() {
		target = keysFile
	}
	to, err := os.OpenFile(filepath.Join(r.dir, target), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum, &copied{ctx, r}), from)
	if err != nil {
		return err
	}
	if want := r.manifest.file(name); want != nil && (n != want.Bytes || hex.EncodeToString(sum.Sum(nil)) != want.SHA256) {
		return fmt.Errorf("what was read is not what was verified: %w", errRowDamaged)
	}
	return to.Sync()
}

// copied counts what goes through it, and ends with the context.
type copied struct {
	ctx     context.Context
	restore *restore
}

// Write implements io.Writer.
func (c *copied) Write(p []byte) (int, error) {
	c.restore.done += int64(len(p))
	c.restore.Progress("files", c.restore.done>>20, c.restore.room()>>20)
	return len(p), c.ctx.Err()
}

// complete opens the store once, which builds its index, holds it against the
// manifest and takes the mark away.
func (r *restore) complete(ctx context.Context) (err error) {
	s, err := Open(ctx, r.dir, Options{Logger: r.Logger, restoring: true})
	if err != nil {
		return err
	}
	totals, err := s.Totals(ctx)
	lastSeq := s.visible.Load()
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	m := r.manifest
	if lastSeq < m.LastSeq || totals.Unique != m.Events || totals.Duplicates != m.Duplicates || totals.Topics != m.Topics {
		return fmt.Errorf("it holds %d events up to seq %d and %d repeats in %d topics, the backup %d, %d, %d and %d",
			totals.Unique, lastSeq, totals.Duplicates, totals.Topics, m.Events, m.LastSeq, m.Duplicates, m.Topics)
	}
	if err := os.Remove(filepath.Join(r.dir, restoringFile)); err != nil {
		return err
	}
	return realDisk{}.SyncDir(r.dir)
}
