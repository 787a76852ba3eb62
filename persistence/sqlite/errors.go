package sqlite

import (
	"context"
	"errors"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sekali"
	"sekali/persistence/rowindex"
)

// primaryCode returns the SQLite result code of err without its extension, or
// 0 when err does not come from SQLite.
func primaryCode(err error) int { return extendedCode(err) & 0xff }

func extendedCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// writeError gives a failed write its code. Only "busy" and "full" leave the
// database as it was and may be followed by another try; anything else is the
// end of this handle.
func writeError(err error) *sekali.Error {
	switch {
	case errors.Is(err, rowindex.ErrRebuilding):
		return errIndexRebuilding(err)
	case primaryCode(err) == sqlite3.SQLITE_BUSY, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &sekali.Error{
			Code: sekali.CodeStorageBusy, RetryAfter: time.Second, Err: err,
			Message: "the database is locked by another program; send the request again with the same ids",
		}
	case primaryCode(err) == sqlite3.SQLITE_FULL, extendedCode(err) == sqlite3.SQLITE_IOERR_SHMSIZE, errors.Is(err, syscall.ENOSPC):
		// SHMSIZE is a full disk as well: the -shm file, which holds no data
		// and is never synced, could not grow. The transaction was rolled back.
		return &sekali.Error{
			Code: sekali.CodeStorageFull, RetryAfter: 10 * time.Second, Err: err,
			Message: "the disk is full; free space, then send the request again with the same ids",
		}
	case errors.Is(err, rowindex.ErrBacklog): // what it holds is in the tables
		return &sekali.Error{
			Code: sekali.CodeStorageBusy, RetryAfter: 2 * time.Second, Err: err,
			Message: "the files of the index cannot be written at the moment; send the request again with the same ids",
		}
	default:
		return sekali.ErrStorageFailed.With(err)
	}
}

// errReadersBusy says that no read connection became free in time.
var errReadersBusy = errors.New("all read connections are in use")

// readError gives a failed read its code. Reads do not stop the store.
func readError(err error) error {
	var known *sekali.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, rowindex.ErrRebuilding):
		return errIndexRebuilding(err)
	case errors.Is(err, errReadersBusy):
		return &sekali.Error{
			Code: sekali.CodeStorageBusy, RetryAfter: time.Second, Err: err,
			Message: "too many queries are running; ask again after the time in Retry-After",
		}
	case errors.Is(err, context.DeadlineExceeded), primaryCode(err) == sqlite3.SQLITE_INTERRUPT, primaryCode(err) == sqlite3.SQLITE_BUSY:
		return &sekali.Error{
			Code: sekali.CodeStorageBusy, RetryAfter: time.Second, Err: err,
			Message: "the query took longer than the store allows; narrow it or ask for a smaller page",
		}
	default:
		return err
	}
}

// errIndexRebuilding is answered while a damaged part of the index is being
// rebuilt from the tables.
func errIndexRebuilding(err error) *sekali.Error {
	return &sekali.Error{
		Code: sekali.CodeStorageBusy, RetryAfter: 2 * time.Second, Err: err,
		Message: "a damaged part of the index is being rebuilt from the events; send the request again with the same ids",
	}
}
