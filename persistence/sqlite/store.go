package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"sekali"
)

// Durability says what has happened when a commit returns.
type Durability int

const (
	// Durable syncs every commit to the disk (synchronous=FULL): it survives a
	// loss of power.
	Durable Durability = iota
	// Relaxed syncs at checkpoints only (synchronous=NORMAL): it survives the
	// end of the process, and a loss of power may take the last commits.
	Relaxed
)

// String returns the name used in the configuration and in answers.
func (d Durability) String() string {
	if d == Relaxed {
		return "relaxed"
	}
	return "durable"
}

func (d Durability) synchronous() string {
	if d == Relaxed {
		return "NORMAL"
	}
	return "FULL"
}

// Options of a store; the zero value is ready for use.
type Options struct {
	Durability Durability
	Readers    int          // read connections, default 3
	Logger     *slog.Logger // default: discards

	generationRows int  // of the indexes; tests set it
	restoring      bool // by Restore, which is not done
}

func (o Options) withDefaults() Options {
	o.Readers = cmp.Or(o.Readers, 3)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is a sekali.Store in a data directory.
type Store struct {
	path    string
	log     *slog.Logger
	lock    *dirLock
	readers *sql.DB
	// aside is a connection that moves the WAL while the writer goes on.
	aside *sql.DB
	// file is the database, opened once more to flush it. It is closed after
	// SQLite has closed its own: closing it may drop their locks.
	file *os.File

	indexes indexes
	keys    idKeys
	window  int64        // how many seqs one query of Events looks through
	visible atomic.Int64 // the last seq that readers look at: it is in the index

	// turn is held by whoever uses the writer connection: AppendBatch, the
	// checkpointer, Close.
	turn   chan struct{}
	writer *writer

	failure  atomic.Pointer[sekali.Error] // set once: no further writes
	walInUse atomic.Int64                 // bytes, as the last look or checkpoint found
	unlooked int64                        // bytes of events stored since a look was asked for; guarded by turn
	pressure int64                        // walInUse from which writes are refused
	dirty    chan struct{}                // wakes the checkpointer after a commit
	closing  chan struct{}
	closed   sync.Once
	done     sync.WaitGroup
}

var _ sekali.Store = (*Store)(nil)

// Open locks dir (created when missing, with mode 0700), creates or opens the
// database in it and restores the state. It returns an *InUseError when
// another process has the directory.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	o = o.withDefaults()
	if err := enableOFD(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if !o.restoring {
		if err := refuseUnserved(dir); err != nil {
			return nil, errors.Join(err, lock.release())
		}
	}
	s := &Store{
		path: filepath.Join(dir, databaseFile), log: o.Logger, lock: lock, window: searchWindow, pressure: pressureBytes,
		turn: make(chan struct{}, 1), dirty: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := ensureDatabase(dir); err != nil {
		return nil, err
	}
	if s.writer, err = openWriter(ctx, s.path, o.Durability); err != nil {
		return nil, err
	}
	if s.readers, err = sql.Open("sqlite", readerDSN(s.path)); err != nil {
		return nil, fmt.Errorf("open the readers: %w", err)
	}
	if err := openReaders(ctx, s.readers, o.Readers); err != nil {
		return nil, fmt.Errorf("open the readers: %w", err)
	}
	if s.writer.judge, err = openJudge(ctx, s.path); err != nil {
		return nil, fmt.Errorf("open the judge: %w", err)
	}
	if s.aside, err = openAside(ctx, s.path, o.Durability); err != nil {
		return nil, fmt.Errorf("open the connection for checkpoints: %w", err)
	}
	if s.file, err = os.Open(s.path); err != nil {
		return nil, fmt.Errorf("open the database to flush it: %w", err)
	}
	w := s.writer
	s.keys = w.keys
	s.indexes, err = openIndexes(ctx, dir, w.keys, w.lastSeq, w.tallies.lastID, o.generationRows, o.Logger)
	if err != nil {
		return nil, err
	}
	w.indexes = s.indexes
	s.visible.Store(w.lastSeq)
	s.done.Go(s.checkpointLoop)
	return s, nil
}

// openAside opens a connection that only checkpoints.
func openAside(ctx context.Context, path string, d Durability) (*sql.DB, error) {
	db, err := sql.Open("sqlite", writerDSN(path, d))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
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
		if err := conn.PingContext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AppendBatch implements sekali.Store.
//
// Next: [writer.appendBatch].
func (s *Store) AppendBatch(ctx context.Context, b sekali.Batch) (sekali.Appended, error) {
	if err := s.takeTurn(ctx); err != nil {
		return sekali.Appended{}, err
	}
	defer s.endTurn()
	if err := s.failure.Load(); err != nil {
		return sekali.Appended{}, err
	}
	if err := s.checkPressure(); err != nil {
		return sekali.Appended{}, err
	}
	if err := s.indexes.ready(ctx); err != nil {
		return sekali.Appended{}, s.writeFailed("index the batch before", err)
	}
	appended, err := s.writer.appendBatch(b)
	if err != nil {
		return sekali.Appended{}, s.writeFailed("append batch", err)
	}
	s.visible.Store(s.writer.lastSeq)
	s.tellCheckpointer(b.Events)
	return appended, nil
}

// tellCheckpointer wakes the checkpointer when the WAL may have grown by much.
// A commit of a few small events writes some pages too.
func (s *Store) tellCheckpointer(events []sekali.Event) {
	const pagesOfCommit = 4 * 4096
	s.unlooked += pagesOfCommit
	for i := range events {
		s.unlooked += int64(events[i].Size())
	}
	if s.unlooked < lookBytes && s.walInUse.Load() > 0 {
		return
	}
	s.unlooked = 0
	select {
	case s.dirty <- struct{}{}:
	default: // the checkpointer has been told already
	}
}

func (s *Store) takeTurn(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return writeError(ctx.Err())
	case <-s.closing:
		return sekali.ErrShuttingDown
	}
}

func (s *Store) endTurn() { <-s.turn }

// writeFailed classifies err and, unless a later write may succeed, stops the
// store for good.
func (s *Store) writeFailed(doing string, err error) error {
	e := writeError(fmt.Errorf("%s: %w", doing, err))
	if e.Code == sekali.CodeStorageFailed && s.failure.CompareAndSwap(nil, e) {
		s.log.Error("storage failed, refusing all further writes", "error", e.Err)
	}
	return e
}

// Close implements sekali.Store: the WAL is merged into the database and the
// lock released.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		s.done.Wait()
		s.turn <- struct{}{} // waits for a running AppendBatch; never given back
		if s.failure.Load() == nil {
			if _, err := s.checkpoint(truncate); err != nil {
				s.log.Warn("the WAL stays for the next start", "error", err)
			}
		}
		err = s.release()
	})
	return err
}

// release closes everything. The last connection to be closed moves the WAL
// into the database, which nobody may do after a failure: then that is a
// reader, which cannot.
func (s *Store) release() error {
	errs := []error{s.indexes.close()}
	closeReaders := func() {
		if s.readers != nil {
			errs = append(errs, s.readers.Close())
		}
	}
	failed := s.failure.Load() != nil
	if !failed {
		closeReaders()
	}
	if s.aside != nil {
		errs = append(errs, s.aside.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if failed {
		closeReaders()
	}
	if s.file != nil {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(append(errs, s.lock.release())...)
}
