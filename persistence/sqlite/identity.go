package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// applicationID marks a SQLite file as ours: "Skli" in ASCII.
const applicationID = 0x536b6c69

// checkHeader refuses a file that is not a Sekali database, before SQLite opens
// it: switching to WAL would change a foreign database, and an empty file would
// become one.
func checkHeader(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the header of the database: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// https://www.sqlite.org/fileformat.html#the_database_header
	const magic, idOffset, size = "SQLite format 3\x00", 68, 100
	var header [size]byte
	switch n, err := io.ReadFull(f, header[:]); {
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read the header of the database: %w", err)
	case n < size || string(header[:len(magic)]) != magic:
		return fmt.Errorf("%s is not a SQLite database; restore it from a backup, or move the file and its -wal away to start empty", databaseFile)
	}
	if id := binary.BigEndian.Uint32(header[idOffset:]); id != applicationID {
		return fmt.Errorf("%s is not a Sekali database (application_id %#x); point --data-dir at another directory or move the file and its -wal away", databaseFile, id)
	}
	return nil
}

// checkIdentity refuses a Sekali database of another version and one without
// its marker row.
func checkIdentity(ctx context.Context, db *sql.DB) error {
	var version int64
	if err := db.QueryRowContext(ctx, "pragma user_version").Scan(&version); err != nil {
		return fmt.Errorf("read user_version: %w", err)
	}
	if version != schemaVersion {
		return fmt.Errorf("%s has schema version %d, this sekali knows version %d; use the release that wrote it", databaseFile, version, schemaVersion)
	}
	var product string
	if err := db.QueryRowContext(ctx, "select value from meta where key = 'product'").Scan(&product); err != nil {
		return fmt.Errorf("read the marker row of %s: %w", databaseFile, err)
	}
	if product != "sekali" {
		return fmt.Errorf("%s is marked as a store of %q, not of sekali", databaseFile, product)
	}
	return nil
}
