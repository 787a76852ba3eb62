package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Options for every connection: string literals in double quotes are errors,
// no writing to internal tables, precise error texts, temporary data in memory
// (the container has no other place for it).
const commonOptions = "_defensive=1&_dqs=0&_error_rc=1&_pragma=temp_store(2)&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&_pragma=mmap_size(0)"

// The writer's settings. wal_autocheckpoint is off because checkpoints run
// under our control (checkpoint.go), journal_size_limit caps a WAL file that
// grew once at 128 MiB, cache_size is in KiB.
const writerOptions = commonOptions + "&_txlock=immediate&_busy_timeout=5000&_journal_mode=WAL" +
	"&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(134217728)&_pragma=cache_size(-16384)"

const readerOptions = commonOptions + "&mode=ro&_query_only=1&_busy_timeout=2000"

func fileURI(path, options string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: options}
	return u.String()
}

// withVFS makes connections of a DSN use the VFS of that name; "" is SQLite's own.
func withVFS(dsn, vfs string) string {
	if vfs == "" {
		return dsn
	}
	return dsn + "&vfs=" + url.QueryEscape(vfs)
}

func creatorDSN(path string) string {
	return fileURI(path, commonOptions+"&_txlock=immediate&_journal_mode=DELETE&_synchronous=FULL")
}

func writerDSN(path string, d Durability) string {
	// mode=rw: the database exists by now; a missing file must not be
	// replaced by an empty one.
	return fileURI(path, writerOptions+"&mode=rw&_synchronous="+d.synchronous())
}

func readerDSN(path string) string { return fileURI(path, readerOptions+"&_pragma=cache_size(-4096)") }

// judgeDSN has a small cache: what is read through it has no order.
func judgeDSN(path string) string {
	return fileURI(path, readerOptions+"&_pragma=cache_size(-2048)")
}

// checkSettings reads the settings back: SQLite ignores a pragma that it does
// not know, and a file system without shared memory refuses WAL silently.
func checkSettings(ctx context.Context, db *sql.DB, d Durability) error {
	want := map[string]string{
		"journal_mode":       "wal",
		"synchronous":        map[Durability]string{Durable: "2", Relaxed: "1"}[d],
		"wal_autocheckpoint": "0",
		"journal_size_limit": "134217728",
		"cache_size":         "-16384",
		"cell_size_check":    "1",
		"trusted_schema":     "0",
		"busy_timeout":       "5000",
	}
	for name, value := range want {
		var got string
		if err := db.QueryRowContext(ctx, "pragma "+name).Scan(&got); err != nil {
			return fmt.Errorf("read pragma %s: %w", name, err)
		}
		if !strings.EqualFold(got, value) {
			return fmt.Errorf("pragma %s is %s after setting it to %s; this file system cannot hold a Sekali database (use a local one)", name, got, value)
		}
	}
	return nil
}
