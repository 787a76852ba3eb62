package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
	// AllowFileSystem is the name of a type of file system that is taken
	// although it is refused otherwise: see FileSystemError.
	AllowFileSystem string
	// AcceptLoss is the ID of a LossError to go on after. Any other loss is
	// refused all the same.
	AcceptLoss string

	// Tests set these.
	generationRows int    // of the indexes
	disk           disk   // what is done to files past SQLite
	vfs            string // name of the VFS of every connection; "" is SQLite's own
	manual         bool   // no checkpointer: the test does its work
	watchEvery     time.Duration
	tailRows       int // that are checked at every start

	restoring bool // by Restore, which is not done
}

func (o Options) withDefaults() Options {
	o.Readers = cmp.Or(o.Readers, 3)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.tailRows = cmp.Or(o.tailRows, tailRows)
	o.watchEvery = cmp.Or(o.watchEvery, watchTime)
	if o.disk == nil {
		o.disk = realDisk{}
	}
	return o
}

// Store is a sekali.Store in a data directory.
type Store struct {
	options Options
	dir     string
	path    string
	log     *slog.Logger
	lock    *dirLock
	readers *sql.DB
	// aside is a connection that moves the WAL while the writer goes on.
	aside *sql.DB
	// file is the database, opened once more to flush it. It is closed after
	// SQLite has closed its own: closing it may drop their locks.
	file   diskFile
	files  []watchedFile
	mark   *markFile // guarded by turn
	keeper *sql.DB   // while the store opens (start.go)

	unclean  bool    // the store was not closed before
	scrubber *sql.DB // of an unclean store (check.go)

	indexes indexes
	keys    idKeys
	window  int64        // how many seqs one query of Events looks through
	visible atomic.Int64 // the last seq that readers look at: it is in the index

	// turn is held by whoever uses the writer connection: AppendBatch, the
	// checkpointer, Close.
	turn   chan struct{}
	writer *writer

	failure  atomic.Pointer[sekali.Error] // set once: no further writes
	failed   chan struct{}                // closed after failure was set
	full     atomic.Pointer[sekali.Error] // no writes until there is room
	walInUse atomic.Int64                 // bytes, as the last look or checkpoint found
	unlooked int64                        // bytes of events stored since a look was asked for; guarded by turn
	pressure int64                        // walInUse from which writes are refused
	dirty    chan struct{}                // wakes the checkpointer after a commit
	closing  chan struct{}
	closed   sync.Once
	done     sync.WaitGroup
}

var _ sekali.Store = (*Store)(nil)

// AppendBatch implements sekali.Store.
//
// Next: [writer.appendBatch].
func (s *Store) AppendBatch(ctx context.Context, b sekali.Batch) (_ sekali.Appended, err error) {
	if err := s.takeTurn(ctx); err != nil {
		return sekali.Appended{}, err
	}
	defer s.endTurn()
	defer s.containAppend(&err)
	if err := s.Ready(); err != nil {
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
	if err := s.noteCommit(b.At); err != nil {
		// On a full disk the mark stays behind, which only finds less, and the
		// next batch is refused. This one is stored: to say that it was not
		// would have its tallies counted again.
		if e := s.writeFailed("note the commit", err); sekali.CodeOf(e) != sekali.CodeStorageFull {
			return sekali.Appended{}, e
		}
	}
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
	switch {
	case e.Code == sekali.CodeStorageFailed && s.failure.CompareAndSwap(nil, e):
		s.log.Error("storage failed, refusing all further writes", "error", e.Err)
		close(s.failed)
	case e.Code == sekali.CodeStorageFull && s.full.CompareAndSwap(nil, e):
		s.log.Warn("the disk is full, refusing writes until there is room", "dir", s.dir, "error", e.Err)
	}
	return e
}

// noteCommit moves the high-water mark. That of a relaxed store moves when the
// log has been synced.
func (s *Store) noteCommit(at time.Time) error {
	s.writer.lastAt = at
	if s.options.Durability == Relaxed {
		return nil
	}
	return s.mark.note(s.writer.position())
}

// Ready returns nil while writes are taken, else the error of every write:
// after a failure for good, or while the disk is full. It may be called at any
// time from any goroutine.
func (s *Store) Ready() error {
	if err := s.failure.Load(); err != nil {
		return err
	}
	if err := s.full.Load(); err != nil {
		return err
	}
	return nil
}

// Failed is closed when the store has failed for good: nothing will be written
// any more and the process should end.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Close implements sekali.Store: the WAL is merged into the database and the
// lock released.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		s.done.Wait()
		s.turn <- struct{}{} // waits for a running AppendBatch; never given back
		if s.failure.Load() == nil {
			if err := s.settle(); err != nil {
				s.log.Warn("the WAL stays for the next start", "error", err)
			}
		}
		err = s.release()
	})
	return err
}

// settle empties the log and notes that the store was closed.
func (s *Store) settle() error {
	wal, err := s.checkpoint(truncate)
	if err != nil || wal.size > 0 {
		return err
	}
	last := s.writer.position()
	last.Clean = true
	if err := s.mark.note(last); err != nil {
		return err
	}
	return s.mark.sync()
}

// release closes everything. The last connection to be closed moves the WAL
// into the database, which nobody may do after a failure: then that is a
// reader, which cannot.
func (s *Store) release() error {
	errs := []error{s.indexes.close()}
	closeReaders := func() {
		for _, db := range []*sql.DB{s.readers, s.scrubber} {
			if db != nil {
				errs = append(errs, db.Close())
			}
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
	if s.keeper != nil {
		errs = append(errs, s.keeper.Close())
	}
	if s.file != nil {
		errs = append(errs, s.file.Close())
	}
	if s.mark != nil {
		errs = append(errs, s.mark.file.Close())
	}
	return errors.Join(append(errs, s.lock.release())...)
}
