package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	databaseFile  = "sekali.db"
	schemaVersion = 2
)

// schema creates an empty database. Times are nanoseconds since 1970 UTC. The
// topic's name is kept once and its counts change in the transaction that
// stores the events. Tables are STRICT: a plain table would take the same id
// once as TEXT and once as BLOB.
var schema = []string{
	`create table meta (
		key   text primary key,
		value text not null
	) strict, without rowid`,
	`create table topics (
		id              integer primary key,
		name            text    not null unique,
		unique_count    integer not null default 0,
		duplicate_count integer not null default 0,
		conflict_count  integer not null default 0,
		first_seen      integer not null,
		last_seen       integer not null
	) strict`,
	// seq rises by one with each event, batch with each transaction that stores
	// some; checksum is that of eventRow. There is no key or index over ids and
	// topics: random ids would tear any B-tree apart (indexes.go).
	`create table events (
		seq          integer primary key,
		topic_id     integer not null references topics (id),
		event_id     text    not null,
		source       text    not null,
		timestamp    text    not null,
		event_time   integer not null,
		processed_at integer not null,
		batch        integer not null,
		checksum     integer not null,
		payload      blob    not null
	) strict`,
	// Repeats of the event seq. An event has several rows when it was repeated
	// again after many others were.
	`create table duplicates (
		id        integer primary key,
		seq       integer not null references events (seq),
		count     integer not null,
		conflicts integer not null,
		last_at   integer not null
	) strict`,
}

// ensureDatabase creates the database of dir when there is none and none was
// there before, as far as the mark tells, and refuses a file that is not ours. A new one is built under another name and renamed when
// complete, so that a crash leaves either no database or a whole one.
func ensureDatabase(dir string, mark *Mark, o Options) (created bool, err error) {
	path := filepath.Join(dir, databaseFile)
	switch _, err := os.Stat(path); {
	case err == nil:
		return false, checkHeader(path)
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("look for the database: %w", err)
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		return false, fmt.Errorf("%s is missing but its log %s-wal is there, which may hold events that were acknowledged; put the database back beside it, or move the log away too to start empty", databaseFile, databaseFile)
	}
	if mark != nil && mark.Batch > 0 {
		return false, fmt.Errorf("%s is missing, which held events up to %s; put it back or restore a backup, or move %s away too to start empty", databaseFile, mark.position(), markName)
	}
	fresh := path + ".new"
	if err := removeIfExists(o.disk, fresh, fresh+"-journal"); err != nil {
		return false, fmt.Errorf("remove the rest of an interrupted start: %w", err)
	}
	if err := createDatabase(fresh, o.vfs); err != nil {
		return false, fmt.Errorf("create the database: %w", err)
	}
	if err := o.disk.Rename(fresh, path); err != nil {
		return false, fmt.Errorf("publish the new database: %w", err)
	}
	return true, o.disk.SyncDir(dir)
}

func removeIfExists(d disk, paths ...string) error {
	for _, p := range paths {
		if err := d.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func createDatabase(path, vfs string) (err error) {
	db, err := sql.Open("sqlite", withVFS(creatorDSN(path), vfs))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	statements := append([]string{
		fmt.Sprintf("pragma application_id = %d", applicationID),
		fmt.Sprintf("pragma user_version = %d", schemaVersion),
	}, schema...)
	for _, s := range statements {
		if _, err := tx.Exec(s); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s, err), tx.Rollback())
		}
	}
	created := time.Now().UTC().Format(time.RFC3339)
	if _, err := tx.Exec(`insert into meta values ('product', 'sekali'), ('created_at', ?), ('index_secret', ?)`, created, newSecret()); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
