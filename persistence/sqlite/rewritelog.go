package sqlite

import (
	"errors"
	"fmt"
	"os"
)

// rewriteBytes of the log are read and written again at a time.
const rewriteBytes = 1 << 20

// rewriteLog writes the first size bytes of a log that was not closed once more,
// the same ones, and syncs them. After a failed fsync the kernel takes what it
// could not write for written: it shows it to whoever reads, and a later fsync
// says that all is well. SQLite would recover such transactions, move them into
// the database and, after a loss of power, put the shorter log that the disk has
// over it. What was written again the kernel has to write, or say that it cannot.
func rewriteLog(d disk, path string, size int64) (err error) {
	f, err := d.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("write the log again: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffer := make([]byte, min(size, rewriteBytes))
	for at := int64(0); at < size; at += int64(len(buffer)) {
		buffer = buffer[:min(size-at, rewriteBytes)]
		if _, err := f.ReadAt(buffer, at); err != nil {
			return fmt.Errorf("write the log again: %w", err)
		}
		if _, err := f.WriteAt(buffer, at); err != nil {
			return fmt.Errorf("write the log again: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	return nil
}
