package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// VerifyOptions of a verification; the zero value is ready for use.
type VerifyOptions struct {
	// Workers is how many goroutines read at a time, default one per core.
	Workers int
	// Progress is told how far each part is; done and total are in rows or
	// entries. It may be called by several goroutines at a time.
	Progress func(part string, done, total int64)
}

// Verify reads everything in a data directory or a backup that no process
// uses, compares each part with the others, and reports what does not fit:
// rows with their checksums, the order and the uniqueness of events, counts,
// the index, the log, the pages of the database and, of a backup, its manifest.
// It changes nothing in dir, not even by recovering the log.
//
// An error means that there was nothing to verify or that it could not be done
// to the end, an *InUseError that a process has the directory; what is wrong
// with the data is in the report.
func Verify(ctx context.Context, dir string, o VerifyOptions) (*VerifyReport, error) {
	lock, err := shareDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.release() }() // nothing was written through it
	return verifyLocked(ctx, dir, o)
}

// verifyLocked is Verify under the caller's lock.
func verifyLocked(ctx context.Context, dir string, o VerifyOptions) (*VerifyReport, error) {
	v := newVerifier(dir, o)
	m, err := readManifest(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		v.find(FindingBackup, "%s", err)
	default:
		v.withLog = v.withLog && m.file(logFile) != nil
	}
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("verify %s: %w", dir, err)
	}
	if m == nil || v.withLog {
		if err := v.checkLog(); err != nil {
			return nil, fmt.Errorf("verify %s: %w", dir, err)
		}
	}
	if m != nil {
		if err := v.checkBackup(m); err != nil {
			return nil, fmt.Errorf("verify %s: %w", dir, err)
		}
	}
	v.report.finish(time.Since(v.start))
	return v.report, nil
}

func newVerifier(dir string, o VerifyOptions) *verifier {
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	return &verifier{
		VerifyOptions: o, dir: dir, withLog: hasLog(filepath.Join(dir, databaseFile)),
		report: &VerifyReport{Dir: dir}, start: time.Now(), topics: make(map[int64]*topicCheck),
	}
}

// verifier is the state of one Verify.
type verifier struct {
	VerifyOptions
	dir     string
	withLog bool // the log belongs to the database
	db      *sql.DB
	keys    idKeys
	// Seqs and transactions up to here may be missing: a loss was accepted.
	floorSeq, floorBatch int64

	report *VerifyReport
	start  time.Time
	read   bool // all of it: nothing was so damaged that it ended early

	mu     sync.Mutex // guards report and topics while goroutines read
	topics map[int64]*topicCheck

	files  []*segmentFile // of both indexes
	chunks []*eventChunk  // by rising seq, without gaps
	idKeys []uint64       // of the events, as many as one pass of findRepeats takes
	lastID int64          // of the duplicates
	tally  []*tallyChunk  // by rising id, without gaps
}

// run takes the parts in turn. A part whose basis is damaged is left out: the
// finding about the basis says enough.
func (v *verifier) run(ctx context.Context) error {
	path := filepath.Join(v.dir, databaseFile)
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	v.report.DatabaseBytes = info.Size()
	if err := checkHeader(path); err != nil {
		v.find(FindingDatabase, "%s", err)
		return nil
	}
	if v.db, err = openAtRest(path, v.Workers+1, v.withLog); err != nil {
		return err
	}
	defer func() { _ = v.db.Close() }() // it was only read
	for _, part := range []func(context.Context) error{
		v.checkStructure, v.readTopics, v.openSegmentFiles, v.readPagesAndEvents, v.readDuplicates, v.compareCounts, v.checkSegmentFiles, v.findRepeats,
	} {
		if err := part(ctx); err != nil {
			if errors.Is(err, errPartUseless) {
				return ctx.Err()
			}
			return err
		}
	}
	v.read = true
	return nil
}

// errPartUseless ends a verification early: what it found says why.
var errPartUseless = errors.New("the database is damaged where everything begins")

// openAtRest opens the database of a directory that nobody writes to, so that
// no byte of the directory changes: without a log as an immutable file, with
// one by reading the log into an index of each connection's own memory. That
// takes exclusive mode, and a VFS whose locks are none; the lock of the
// directory is what keeps others away.
func openAtRest(path string, conns int, withLog bool) (*sql.DB, error) {
	if err := enableOFD(); err != nil {
		return nil, err
	}
	options := "immutable=1&"
	if withLog { // the mode comes first: another pragma may read
		options = "vfs=unix-none&_pragma=locking_mode(exclusive)&"
	}
	options += commonOptions + "&mode=ro&_query_only=1"
	db, err := sql.Open("sqlite", fileURI(path, options))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// hasLog reports whether a database has a log with something in it.
func hasLog(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}

// isDamage reports whether err comes from the content of the files or from a
// disk that cannot read them, rather than from what was asked.
func isDamage(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FORMAT:
		return true
	}
	return false
}

// useless ends the verification, by a finding when the data is damaged.
func (v *verifier) useless(doing string, err error) error {
	if !isDamage(err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	v.find(FindingDatabase, "%s: %s", doing, err)
	return errPartUseless
}

// find notes a finding; it may be called by several goroutines.
func (v *verifier) find(kind FindingKind, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.add(kind, 1, fmt.Sprintf(format, args...))
}

func (v *verifier) progress(part string, done, total int64) {
	if v.Progress != nil {
		v.Progress(part, done, total)
	}
}

// logBytes is the size of the log, 0 where there is none.
func (v *verifier) logBytes() int64 {
	info, err := os.Stat(filepath.Join(v.dir, logFile))
	if err != nil || !v.withLog {
		return 0
	}
	return info.Size()
}

// checkStructure holds the file against what this release creates.
func (v *verifier) checkStructure(ctx context.Context) error {
	err := checkIdentity(ctx, v.db)
	if err == nil {
		v.keys, err = readKeys(ctx, v.db)
	}
	if err == nil {
		v.floorSeq, v.floorBatch, err = readFloor(ctx, v.db)
	}
	if err != nil {
		v.find(FindingDatabase, "%s", err)
		return errPartUseless
	}
	found, err := texts(ctx, v.db, `select sql from sqlite_schema where sql is not null order by rowid`)
	if err != nil {
		return v.useless("read the schema", err)
	}
	for _, table := range schema {
		if !slices.ContainsFunc(found, func(s string) bool { return sameStatement(s, table) }) {
			v.find(FindingDatabase, "the schema has no table like: %s", firstLine(table))
		}
	}
	for _, s := range found {
		if !slices.ContainsFunc(schema, func(table string) bool { return sameStatement(s, table) }) {
			v.find(FindingDatabase, "the schema has what Sekali did not make: %s", firstLine(s))
		}
	}
	return nil
}

// texts returns the one column of a query.
func texts(ctx context.Context, db *sql.DB, query string) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// checkLog looks for transactions that the log has lost: those that it proves
// itself, and those that the high-water mark has noted.
func (v *verifier) checkLog() error {
	r, err := auditLog(v.dir)
	if err != nil {
		return err
	}
	v.report.LogBytes, v.report.LogTransactions = r.Bytes, r.Commits
	var found *Mark
	if v.read {
		found = &Mark{
			Batch: max(v.report.LastBatch, v.floorBatch), Seq: max(v.report.LastSeq, v.floorSeq), Repeats: v.report.Duplicates,
			database: v.keys.stamp(0),
		}
	}
	if _, err := checkLoss(v.dir, &r, found, Options{}); err != nil {
		v.find(FindingLog, "%s", err)
	}
	return nil
}

// checkPages has SQLite look at the structure of all its pages.
func (v *verifier) checkPages(ctx context.Context) error {
	const most = 100 // faults that SQLite lists
	faults, err := texts(ctx, v.db, fmt.Sprintf("pragma integrity_check(%d)", most))
	if isDamage(err) {
		v.find(FindingPages, "%s", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("check the pages: %w", err)
	}
	for _, fault := range faults {
		if fault != "ok" {
			v.find(FindingPages, "%s", fault)
		}
	}
	return nil
}

// readPagesAndEvents checks the pages, which one connection must do, while the
// others read the events.
func (v *verifier) readPagesAndEvents(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan error, 1)
	go func() { pages <- v.checkPages(ctx) }()
	err := v.readEvents(ctx)
	if err != nil {
		cancel()
	}
	v.progress("pages", 0, 0)
	return errors.Join(err, <-pages)
}
