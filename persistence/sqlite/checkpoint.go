package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sekali"
)

// Checkpoints move the WAL into the database. Most of it is moved by a
// connection of its own while commits go on; what they wrote meanwhile is then
// moved on the writer connection between two commits, so that the WAL is empty
// for a moment and the next commit begins it anew.
const (
	// passiveBytes of WAL and what commits add while they are moved fit into the
	// first region of the -shm file (4,062 frames of 4 KiB): a larger WAL makes
	// that file grow, which fails when the disk is full.
	passiveBytes = 8 << 20
	// lookBytes of events are stored between two looks at the size of the WAL.
	lookBytes = 1 << 20
	// truncateBytes is where a WAL that readers kept from shrinking is cut back.
	truncateBytes = 64 << 20
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
			err = s.moveWAL()
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

// checkpointBySize moves the WAL when it is large enough.
func (s *Store) checkpointBySize(notBefore *time.Time) error {
	if err := s.inTurn(func() error { return s.checkpoint(look) }); err != nil {
		return err
	}
	size := s.walInUse.Load()
	if size < passiveBytes || time.Now().Before(*notBefore) {
		return nil
	}
	var err error
	if size >= truncateBytes {
		err = s.inTurn(func() error { return s.checkpoint(truncate) })
	} else {
		err = s.moveWAL()
	}
	if s.walInUse.Load() >= passiveBytes {
		*notBefore = time.Now().Add(retryTime)
	}
	return err
}

// moveWAL moves what the WAL holds while commits go on, and what these wrote
// meanwhile between two of them.
func (s *Store) moveWAL() error {
	if s.failure.Load() != nil {
		return nil
	}
	if _, err := s.walBytes(s.checkpointer, passive); err != nil {
		return err
	}
	return s.inTurn(func() error { return s.checkpoint(passive) })
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
func (s *Store) checkpoint(mode checkpointMode) error {
	if mode == truncate {
		if err := s.setBusyTimeout(truncateWait); err != nil {
			return err
		}
		defer func() { _ = s.setBusyTimeout(5 * time.Second) }() // a failure shows at the next commit
	}
	size, err := s.walBytes(s.writer.db, mode)
	if err == nil {
		s.walInUse.Store(size)
	}
	return err
}

func (s *Store) setBusyTimeout(d time.Duration) error {
	_, err := s.writer.db.Exec(fmt.Sprintf("pragma busy_timeout = %d", d.Milliseconds()))
	return err
}

// walBytes runs a checkpoint of the given mode and returns how much of the WAL
// is in use after it, in bytes, whatever the size of its file.
func (s *Store) walBytes(db *sql.DB, mode checkpointMode) (int64, error) {
	const frame = 4096 + 24 // page size and frame header
	var busy, frames, moved int64
	row := db.QueryRow("pragma wal_checkpoint(" + string(mode) + ")")
	if err := row.Scan(&busy, &frames, &moved); err != nil {
		return 0, s.writeFailed("checkpoint "+string(mode), err)
	}
	if moved >= frames {
		return 0, nil // everything is in the database: the next commit starts over
	}
	return frames * frame, nil
}
