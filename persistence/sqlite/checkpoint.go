package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sekali"
)

// Checkpoints move the WAL into the database. Each few MiB are moved by a
// connection of its own while commits go on. Only when nothing is left to be
// moved does SQLite begin the WAL anew, and while commits go on there is always
// something: so now and then what is left is moved on the writer connection,
// between two commits. That one waits for the disk, so it is rare.
const (
	// asideBytes of the WAL are moved while commits go on.
	asideBytes = 2 << 20
	// renewBytes is the size at which the WAL is begun anew. At 100,000 events a
	// second that is every two seconds, and holds up one commit in some hundreds.
	renewBytes = 64 << 20
	// lookBytes of events are stored between two looks at the size of the WAL.
	lookBytes = 1 << 20
	// truncateBytes is where a WAL that readers kept from shrinking is cut back.
	truncateBytes = 128 << 20
	// pressureBytes is where writing stops until a reader gives way: some
	// program has held a snapshot for so long that the disk is at stake.
	pressureBytes = 1 << 30

	idleTime = time.Second
	// restTime without a commit ends with the writer's page cache (16 MiB) being
	// given back.
	restTime = time.Minute
	// truncateWait is how long a truncating checkpoint may wait for readers,
	// and with it the longest time that it holds up a commit on their account.
	truncateWait = 100 * time.Millisecond
	// retryTime is how long a checkpoint that a reader stood in the way of is
	// not tried again, lest every commit waits for it.
	retryTime = time.Second
)

type checkpointMode string

const (
	look     checkpointMode = "noop" // only asks for the WAL's size
	passive  checkpointMode = "passive"
	truncate checkpointMode = "truncate"
)

// checkpointLoop checkpoints by size after commits, once a second while there
// are none and the WAL is in use, and puts the writer to rest behind that.
func (s *Store) checkpointLoop() {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	var notBefore time.Time
	for {
		var err error
		select {
		case <-s.closing:
			return
		case <-s.dirty:
			err = s.checkpointBySize(&notBefore)
			idle.Reset(idleTime)
		case <-idle.C:
			if s.walInUse.Load() == 0 {
				err = s.inTurn(s.rest)
				break
			}
			err = s.renewWAL()
			if s.walInUse.Load() > 0 {
				idle.Reset(idleTime)
			} else {
				idle.Reset(restTime)
			}
		}
		if err != nil {
			s.log.Warn("checkpoint failed", "error", err)
		}
	}
}

// checkpointBySize does what the size of the WAL asks for. What a reader kept
// from being done is not tried again before notBefore.
func (s *Store) checkpointBySize(notBefore *time.Time) error {
	var wal walState
	err := s.inTurn(func() (err error) {
		wal, err = s.checkpoint(look)
		return err
	})
	if err != nil || wal.pending < asideBytes && wal.size < renewBytes || time.Now().Before(*notBefore) {
		return err
	}
	switch {
	case wal.size >= truncateBytes:
		wal.pending = 0 // what is left shows in walInUse
		err = s.inTurn(func() error { _, err := s.checkpoint(truncate); return err })
	case wal.size >= renewBytes:
		wal.pending = 0
		err = s.renewWAL()
	default:
		wal, err = s.moveAside()
	}
	if s.walInUse.Load() >= renewBytes || wal.pending >= asideBytes {
		*notBefore = time.Now().Add(retryTime)
	}
	return err
}

// moveAside moves what the WAL holds now, while commits go on. SQLite syncs the
// database only when nothing at all is left to be moved, that is in renewWAL,
// where a commit waits for it; so the disk gets what was moved here.
func (s *Store) moveAside() (walState, error) {
	if s.failure.Load() != nil {
		return walState{}, nil
	}
	wal, err := s.checkpointOn(s.aside, passive)
	if err != nil {
		return wal, err
	}
	return wal, s.flushed(s.file.WriteBack())
}

// flushed handles the error of a flush of the database. After a failed one the
// kernel forgets what it could not write, and SQLite's own sync might succeed;
// so it ends the store whatever the error is, a full disk too.
func (s *Store) flushed(err error) error {
	if err != nil {
		return s.writeFailed("flush the database", errors.New(err.Error()))
	}
	return nil
}

// renewWAL moves everything, so that the next commit begins the WAL anew.
func (s *Store) renewWAL() error {
	if _, err := s.moveAside(); err != nil {
		return err
	}
	// The mark with it: after a loss of power it is then not older than this.
	if err := s.flushed(errors.Join(s.file.Sync(), s.mark.sync())); err != nil {
		return err
	}
	return s.inTurn(func() error { _, err := s.checkpoint(passive); return err })
}

// rest frees the memory that the writer can do without.
func (s *Store) rest() error {
	_, err := s.writer.db.Exec("pragma shrink_memory")
	return err
}

// checkPressure refuses a write while the WAL is larger than the disk should
// have to bear.
func (s *Store) checkPressure() error {
	if s.walInUse.Load() < s.pressure {
		return nil
	}
	return &sekali.Error{
		Code: sekali.CodeWALPressure, RetryAfter: 5 * time.Second,
		Message: "another program has kept the database from being written back for too long; end it, then send the request again with the same ids",
	}
}

// inTurn runs f with the writer connection, unless the store is closing or has
// failed: then there is nothing left to do.
func (s *Store) inTurn(f func() error) error {
	if s.takeTurn(context.Background()) != nil {
		return nil
	}
	defer s.endTurn()
	if s.failure.Load() != nil {
		return nil
	}
	return f()
}

// checkpoint runs on the writer connection; the caller holds the turn. A
// reader in the way is not an error: the rest is moved next time.
func (s *Store) checkpoint(mode checkpointMode) (walState, error) {
	if mode == truncate {
		if err := s.setBusyTimeout(truncateWait); err != nil {
			return walState{}, err
		}
		defer func() { _ = s.setBusyTimeout(5 * time.Second) }() // a failure shows at the next commit
	}
	wal, err := s.checkpointOn(s.writer.db, mode)
	if err != nil {
		return wal, err
	}
	if wal.pending == 0 && (mode != look || s.walInUse.Load() == 0) {
		wal.size = 0 // the next commit begins it anew
	}
	s.walInUse.Store(wal.size)
	if mode != look && wal.pending == 0 && s.options.Durability == Relaxed && s.mark != nil {
		return wal, s.noteSynced()
	}
	return wal, nil
}

// noteSynced moves the mark of a relaxed store: a checkpoint syncs the log
// before it moves it.
func (s *Store) noteSynced() error {
	if err := s.mark.note(s.writer.position()); err != nil {
		return s.writeFailed("note the checkpoint", err)
	}
	return nil
}

func (s *Store) setBusyTimeout(d time.Duration) error {
	_, err := s.writer.db.Exec(fmt.Sprintf("pragma busy_timeout = %d", d.Milliseconds()))
	return err
}

// walState is how much of the WAL is in use, in bytes, whatever the size of its
// file, and how much of that is not in the database yet.
type walState struct{ size, pending int64 }

func (s *Store) checkpointOn(db *sql.DB, mode checkpointMode) (walState, error) {
	const frame = 4096 + 24 // page size and frame header
	var busy, frames, moved int64
	row := db.QueryRow("pragma wal_checkpoint(" + string(mode) + ")")
	if err := row.Scan(&busy, &frames, &moved); err != nil {
		return walState{}, s.writeFailed("checkpoint "+string(mode), err)
	}
	return walState{size: frames * frame, pending: (frames - moved) * frame}, nil
}
