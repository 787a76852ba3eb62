package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Checkpoints move the WAL into the database. They run on the writer
// connection between two commits, after the answers of the commit before them
// were given. The sizes come from docs/durability.md: a checkpoint of 16 MiB
// is short, and a WAL that readers kept from shrinking is cut back at 64 MiB.
const (
	passiveBytes  = 16 << 20
	truncateBytes = 64 << 20
	idleTime      = time.Second
	// truncateWait is how long a truncating checkpoint may wait for readers,
	// and with it the longest time that it holds up a commit on their account.
	truncateWait = 100 * time.Millisecond
)

type checkpointMode string

const (
	look     checkpointMode = "noop" // only asks for the WAL's size
	passive  checkpointMode = "passive"
	truncate checkpointMode = "truncate"
)

// checkpointLoop checkpoints by size after commits, and once after a second
// without any.
func (s *Store) checkpointLoop() {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		var err error
		select {
		case <-s.closing:
			return
		case <-s.dirty:
			idle.Reset(idleTime)
			err = s.checkpointBySize()
		case <-idle.C:
			err = s.inTurn(func() error { return s.checkpoint(passive) })
		}
		if err != nil {
			s.log.Warn("checkpoint failed", "error", err)
		}
	}
}

func (s *Store) checkpointBySize() error {
	return s.inTurn(func() error {
		size, err := s.walBytes(look)
		switch {
		case err != nil:
			return err
		case size >= truncateBytes:
			return s.checkpoint(truncate)
		case size >= passiveBytes:
			return s.checkpoint(passive)
		}
		return nil
	})
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
	_, err := s.walBytes(mode)
	return err
}

func (s *Store) setBusyTimeout(d time.Duration) error {
	_, err := s.writer.db.Exec(fmt.Sprintf("pragma busy_timeout = %d", d.Milliseconds()))
	return err
}

// walBytes runs a checkpoint of the given mode and returns how much of the WAL
// was in use before it, in bytes, whatever the size of its file.
func (s *Store) walBytes(mode checkpointMode) (int64, error) {
	const frame = 4096 + 24 // page size and frame header
	var busy, frames, moved int64
	row := s.writer.db.QueryRow("pragma wal_checkpoint(" + string(mode) + ")")
	if err := row.Scan(&busy, &frames, &moved); err != nil {
		return 0, s.writeFailed("checkpoint "+string(mode), err)
	}
	if moved >= frames {
		return 0, nil // everything is in the database: the next commit starts over
	}
	return frames * frame, nil
}
