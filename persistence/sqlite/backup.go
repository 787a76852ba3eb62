package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// BackupOptions of a backup; the zero value copies everything at full speed.
type BackupOptions struct {
	// Incremental adds what is new to an existing backup of the same store;
	// where there is none, a full one is made.
	Incremental bool
	// BytesPerSecond bounds how fast events are read; 0 is no bound.
	BytesPerSecond int64
	// Version is that of the program, for the manifest.
	Version string
	// Progress is told how far each part is, as in VerifyOptions.
	Progress func(part string, done, total int64)

	page int64        // rows read at a time, default copyPage; tests set it
	step func(string) // called at each step after which a kill leaves something else; for tests
}

// BackupReport is what a backup did.
type BackupReport struct {
	Dir         string `json:"dir"`
	Source      string `json:"source"`
	Online      bool   `json:"online"`      // a server was running
	Incremental bool   `json:"incremental"` // added to an older backup

	EventsCopied int64   `json:"events_copied"`
	BytesCopied  int64   `json:"bytes_copied"` // of their values
	CopySeconds  float64 `json:"copy_seconds"`
	Seconds      float64 `json:"seconds"` // with syncing and verifying

	Manifest *Manifest `json:"manifest"`
}

// RefusedError says why something was not even begun, and what to do.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// UnsoundError says that a backup is not sound; the report says why.
type UnsoundError struct{ Report *VerifyReport }

// Error gives the first finding.
func (e *UnsoundError) Error() string {
	f := e.Report.Findings[0]
	return fmt.Sprintf("%s is not sound: %s: %s; 'sekali verify' lists everything", e.Report.Dir, f.Kind, f.Examples[0])
}

// Backup copies the store of a data directory, in use or not, into dir: all
// events up to the last one that was stored when it began, with the counts of
// that moment. When it returns, the backup was synced and verified. Whenever it
// is killed, dir is what it was before, or the new backup.
//
// A *RefusedError means that nothing was begun, an *InUseError that another
// backup or restore uses dir, an *UnsoundError that what was written is not
// what was read.
func Backup(ctx context.Context, source, dir string, o BackupOptions) (*BackupReport, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	o.page = cmp.Or(o.page, copyPage)
	if err := checkPlaces(source, dir); err != nil {
		return nil, err
	}
	b := &backup{BackupOptions: o, dir: dir, start: time.Now()}
	b.report = &BackupReport{Dir: dir, Source: source}
	var err error
	if b.from, err = openSource(ctx, source); err != nil {
		return nil, fmt.Errorf("open %s: %w", source, err)
	}
	defer b.from.close()
	b.report.Online = b.from.lock == nil
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	b.report.Seconds = time.Since(b.start).Seconds()
	return b.report, nil
}

// backup is the state of one Backup.
type backup struct {
	BackupOptions
	dir    string
	from   *backupSource
	snap   *snapshot
	start  time.Time
	report *BackupReport
}

func (b *backup) run(ctx context.Context) error {
	_, err := os.Lstat(b.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b.full(ctx)
	case err != nil:
		return err
	case !b.Incremental:
		return refuse("%s exists; name another directory, or say --incremental to add to the backup in it", b.dir)
	}
	return b.incremental(ctx)
}

// full writes a backup beside its place and renames it when it is verified.
func (b *backup) full(ctx context.Context) (err error) {
	if err := b.checkSpace(0); err != nil {
		return err
	}
	parent, base := filepath.Split(filepath.Clean(b.dir))
	if err := removePartials(parent, base); err != nil {
		return fmt.Errorf("remove what an interrupted backup left: %w", err)
	}
	partial, err := os.MkdirTemp(filepath.Clean(parent), partialName(base)+"*")
	if err != nil {
		return fmt.Errorf("create the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	lock, err := lockDir(partial)
	if err != nil {
		return err
	}
	defer func() { _ = lock.release() }() // the end of the process does, too
	m, err := b.fill(ctx, partial)
	if err != nil {
		return err
	}
	if err := b.finish(ctx, partial, m); err != nil {
		return err
	}
	if err := os.Rename(partial, b.dir); err != nil {
		return fmt.Errorf("give the backup its name: %w", err)
	}
	return realDisk{}.SyncDir(filepath.Clean(parent))
}

// fill copies everything into a new database.
func (b *backup) fill(ctx context.Context, dir string) (_ *Manifest, err error) {
	if b.snap, err = b.from.snapshot(ctx); err != nil {
		return nil, fmt.Errorf("read %s: %w", b.report.Source, err)
	}
	if err := b.from.checkLoss(ctx, b.snap); err != nil {
		return nil, err
	}
	to, err := createTarget(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	m, err := b.copyInto(ctx, to, nil)
	if err != nil {
		return nil, err
	}
	// WAL is how every other program of ours opens it: no byte changes then.
	for _, s := range []string{"pragma locking_mode = normal", "pragma journal_mode = wal", "pragma wal_checkpoint(truncate)"} {
		if _, err := to.db.ExecContext(ctx, s); err != nil {
			return nil, fmt.Errorf("finish the database: %w", err)
		}
	}
	return m, nil
}

// copyInto writes what is new since before, all of it when that is nil, in one
// transaction, and returns the manifest that the backup should have then.
func (b *backup) copyInto(ctx context.Context, to *backupTarget, before *Manifest) (*Manifest, error) {
	started := time.Now()
	c := &copier{from: b.from, to: to, snap: b.snap, limit: b.BytesPerSecond, page: b.page, progress: b.Progress}
	m := b.newManifest(before)
	var eventsBefore, duplicatesBefore int64
	topics := make(map[int64]topicCheck)
	if before != nil {
		eventsBefore, duplicatesBefore = before.LastSeq, max(0, before.LastDuplicate-maxRecentTallies)
		old, err := topicRows(ctx, to.db)
		if err != nil {
			return nil, fmt.Errorf("read the backup: %w", err)
		}
		for _, t := range old {
			topics[t.id] = t
		}
	}
	if err := to.begin(ctx); err != nil {
		return nil, fmt.Errorf("begin to write: %w", err)
	}
	topicSum, err := c.copyTopics(ctx, topics)
	if err != nil {
		return nil, err
	}
	if err := c.copyEvents(ctx, eventsBefore); err != nil {
		return nil, err
	}
	duplicateSum, err := c.copyDuplicates(ctx, duplicatesBefore)
	if err != nil {
		return nil, err
	}
	if err := c.copyMeta(ctx); err != nil {
		return nil, err
	}
	b.Progress("write", 0, 0)
	if err := to.tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	m.Content.Topics = hexSum(topicSum)
	m.Content.Events = addSum(m.Content.Events, to.sum)
	m.Content.Duplicates = ""
	if before == nil {
		m.Content.Duplicates = hexSum(duplicateSum)
	}
	b.report.EventsCopied, b.report.BytesCopied = to.copied, to.bytes
	b.report.CopySeconds = time.Since(started).Seconds()
	return m, nil
}

// newManifest is what the snapshot says of the backup.
func (b *backup) newManifest(before *Manifest) *Manifest {
	m := &Manifest{
		Format: manifestFormat, Product: "sekali", Version: b.Version, Schema: schemaVersion, Store: b.snap.store,
		Created: b.start.UTC(), Updated: b.start.UTC(),
		LastSeq: b.snap.lastSeq, LastBatch: b.snap.lastBatch, LastDuplicate: b.snap.lastDuplicate,
		Topics: int64(len(b.snap.topics)),
	}
	for i := range b.snap.topics {
		m.Events += b.snap.topics[i].unique
		m.Duplicates += b.snap.topics[i].duplicates
		m.Conflicts += b.snap.topics[i].conflicts
	}
	if before != nil {
		m.Created, m.Content.Events = before.Created, before.Content.Events
	}
	return m
}

// finish syncs what is in dir, holds it against what was read, and writes the
// manifest.
func (b *backup) finish(ctx context.Context, dir string, m *Manifest) error {
	if err := b.copyKeys(dir, m); err != nil {
		return err
	}
	path := filepath.Join(dir, databaseFile)
	if err := errors.Join(os.Chmod(path, 0o600), syncFile(path)); err != nil {
		return fmt.Errorf("sync the backup: %w", err)
	}
	if err := b.compare(ctx, dir, false, m); err != nil {
		return err
	}
	if err := m.describeFiles(dir, databaseFile); err != nil {
		return err
	}
	if err := m.write(dir); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	b.report.Manifest = m
	return nil
}

// compare verifies what was written and holds it against what was read.
func (b *backup) compare(ctx context.Context, dir string, withLog bool, m *Manifest) error {
	b.Progress("verify", 0, 0)
	v := newVerifier(dir, VerifyOptions{Progress: b.Progress})
	v.withLog = withLog
	if err := v.run(ctx); err != nil {
		return fmt.Errorf("verify the backup: %w", err)
	}
	r := v.report
	if m.Content.Duplicates == "" {
		m.Content.Duplicates = r.Content.Duplicates
	}
	if err := v.checkBackup(m); err != nil {
		return fmt.Errorf("verify the backup: %w", err)
	}
	r.finish(time.Since(v.start))
	if !r.Sound() {
		return &UnsoundError{r}
	}
	return nil
}

// describeFiles enters the named file and the keys, as they are on the disk.
func (m *Manifest) describeFiles(dir string, name string) error {
	keys := m.keys()
	m.Files = nil
	for _, name := range []string{name, keys} {
		if name == "" {
			continue
		}
		f, err := describe(dir, name)
		if err != nil {
			return fmt.Errorf("describe the backup: %w", err)
		}
		if f == nil {
			return fmt.Errorf("describe the backup: %s is missing", name)
		}
		m.Files = append(m.Files, *f)
	}
	return nil
}

// copyKeys copies the API keys, of which a data directory has only hashes,
// under a name that says what is in it.
func (b *backup) copyKeys(dir string, m *Manifest) error {
	text, err := os.ReadFile(filepath.Join(b.report.Source, keysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b.checkNeverHadKeys()
	}
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	f := ManifestFile{Bytes: int64(len(text)), SHA256: sha256Hex(text)}
	f.Name = keysCopyPrefix + f.SHA256[:12] + ".json"
	if err := writeFileDurably(filepath.Join(dir, f.Name), text); err != nil {
		return fmt.Errorf("copy the keys: %w", err)
	}
	m.Files = append(m.Files, f)
	return nil
}

// checkNeverHadKeys is an error when the keys are gone: what is restored from a
// backup without them would be open to anybody.
func (b *backup) checkNeverHadKeys() error {
	if info, err := os.Stat(filepath.Join(b.report.Source, "keys.lock")); err == nil && info.Size() > 0 {
		return fmt.Errorf("%s is missing although there were keys; put it back from an older backup", keysFile)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
