package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Open locks dir (created when missing, with mode 0700), creates or opens the
// database in it and restores the state. Before SQLite may touch anything it
// looks whether the directory can keep a promise and whether the log has kept
// the ones that were given; what it refuses it leaves as it was. When it
// returns, all that was found in the log is in the database and synced.
//
// It returns an *InUseError when another process has the directory, a
// *FileSystemError when it lies on a file system that is refused, a *LossError
// when acknowledged events are missing.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	o = o.withDefaults()
	if err := enableOFD(); err != nil {
		return nil, err
	}
	if err := makeDir(dir, o.disk); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		options: o, dir: dir, path: filepath.Join(dir, databaseFile), log: o.Logger, lock: lock, window: searchWindow, pressure: pressureBytes,
		turn: make(chan struct{}, 1), dirty: make(chan struct{}, 1), closing: make(chan struct{}), failed: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := s.checkDirectory(); err != nil {
		return nil, err
	}
	if err := s.openDatabase(ctx); err != nil {
		return nil, err
	}
	if err := s.openBeside(ctx); err != nil {
		return nil, err
	}
	s.visible.Store(s.writer.lastSeq)
	if !o.manual {
		s.run("checkpoints", s.checkpointLoop)
	}
	s.run("the watch over the files", s.watchLoop)
	if s.scrubber != nil {
		s.run("the check of all events", s.scrub)
	}
	return s, nil
}

// checkDirectory finds out whether a promise can be kept in the directory.
func (s *Store) checkDirectory() error {
	if !s.options.restoring {
		if err := refuseUnserved(s.dir); err != nil {
			return err
		}
	}
	if err := checkFileSystem(s.dir, s.options.AllowFileSystem, s.log); err != nil {
		return err
	}
	return probe(s.dir, startProbeBytes, s.options.disk)
}

// openDatabase opens the writer after the log has been audited, compares what
// it finds with the high-water mark, and empties the log.
func (s *Store) openDatabase(ctx context.Context) error {
	report, err := auditLog(s.dir)
	if err != nil {
		return err
	}
	s.logReport(&report)
	s.unclean = report.Bytes > 0 || report.Mark != nil && !report.Mark.Clean
	lost, err := checkLoss(s.dir, &report, nil, s.options)
	if err != nil {
		return err
	}
	created, err := ensureDatabase(s.dir, report.Mark, s.options)
	if err != nil {
		return err
	}
	if created {
		report.Mark = nil // of a store that never held anything
	}
	if report.Bytes > 0 {
		if report.Valid > 0 {
			if err := rewriteLog(s.options.disk, s.path+"-wal", report.validBytes()); err != nil {
				return err
			}
		}
		if err := s.keepLog(ctx); err != nil {
			return err
		}
	}
	if s.writer, err = openWriter(ctx, s.path, s.options); err != nil {
		return err
	}
	s.keys = s.writer.keys
	if !lost {
		found := s.writer.position()
		if lost, err = checkLoss(s.dir, &report, &found, s.options); err != nil {
			return err
		}
	}
	if lost {
		if err := s.acceptLoss(ctx, &report); err != nil {
			return err
		}
	}
	return s.beginMark(&report)
}

// logReport says what an operator should know of the log.
func (s *Store) logReport(r *LogReport) {
	switch {
	case r.LostCommits > 0 && !r.proven():
		s.log.Warn("a loss of power took transactions that were not synced (--durability relaxed)", "transactions", r.LostCommits)
	case r.Mark == nil && r.Bytes > 0:
		s.log.Warn("there is no high-water mark beside the log: a log that was cut off would not be noticed this time", "file", markName)
	}
	if r.Bytes > 0 {
		s.log.Info("the store was not closed; its log is read", "log_bytes", r.Bytes, "transactions", r.Commits)
	}
}

// keepLog opens a connection that is closed last when the start is refused:
// the last one to be closed moves the log into the database, which this one
// cannot. So the log stays as evidence.
func (s *Store) keepLog(ctx context.Context) (err error) {
	if s.keeper, err = openConns(ctx, s.path, s.options, 1); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	return nil
}

// openConns opens n connections for reading.
func openConns(ctx context.Context, path string, o Options, n int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", withVFS(readerDSN(path), o.vfs))
	if err != nil {
		return nil, err
	}
	if err := openReaders(ctx, db, n); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// beginMark empties the log and then begins the mark with what the database
// holds, all of which is synced by then.
func (s *Store) beginMark(r *LogReport) error {
	first := s.writer.position()
	first.Relaxed = s.options.Durability == Relaxed
	if r.Mark != nil {
		first.turn = r.Mark.turn + 1
	}
	if r.Bytes > 0 {
		wal, err := s.checkpoint(truncate)
		if err != nil {
			return err
		}
		if wal.size > 0 {
			s.log.Warn("another program reads the database: its log is emptied later", "log_bytes", wal.size)
			first.Relaxed = first.Relaxed || r.Mark != nil && r.Mark.Relaxed
		}
	}
	var err error
	if s.mark, err = createMark(s.options.disk, filepath.Join(s.dir, markName), first); err != nil {
		return err
	}
	return s.options.disk.SyncDir(s.dir)
}

// openBeside opens everything but the writer.
func (s *Store) openBeside(ctx context.Context) (err error) {
	if s.readers, err = openConns(ctx, s.path, s.options, s.options.Readers); err != nil {
		return fmt.Errorf("open the readers: %w", err)
	}
	if s.writer.judge, err = openJudge(ctx, s.path, s.options.vfs); err != nil {
		return fmt.Errorf("open the judge: %w", err)
	}
	if s.aside, err = openAside(ctx, s.path, s.options); err != nil {
		return fmt.Errorf("open the connection for checkpoints: %w", err)
	}
	if s.unclean {
		if s.scrubber, err = openConns(ctx, s.path, s.options, 1); err != nil {
			return fmt.Errorf("open the connection for checks: %w", err)
		}
	}
	if s.file, err = s.options.disk.OpenFile(s.path, os.O_RDONLY, 0); err != nil {
		return fmt.Errorf("open the database to flush it: %w", err)
	}
	if s.files, err = statFiles(s.path); err != nil {
		return err
	}
	if err := s.checkAtStart(ctx); err != nil {
		return err
	}
	w := s.writer
	if s.indexes, err = openIndexes(ctx, s.dir, w.keys, w.lastSeq, w.tallies.lastID, s.options); err != nil {
		return err
	}
	w.indexes = s.indexes
	if s.keeper != nil {
		err, s.keeper = s.keeper.Close(), nil
	}
	return err
}

// openAside opens a connection that only checkpoints.
func openAside(ctx context.Context, path string, o Options) (*sql.DB, error) {
	db, err := sql.Open("sqlite", withVFS(writerDSN(path, o.Durability), o.vfs))
	if err != nil {
		return nil, err
	}
	if err := openReaders(ctx, db, 1); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openReaders opens n connections that stay open: at the moment of need the
// process might be out of descriptors.
func openReaders(ctx context.Context, db *sql.DB, n int) (err error) {
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	for range n {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // gives it back to the pool
		// A query opens the log, which opening the connection does not.
		if _, err := conn.ExecContext(ctx, "select 1 from sqlite_schema"); err != nil {
			return err
		}
	}
	return nil
}
