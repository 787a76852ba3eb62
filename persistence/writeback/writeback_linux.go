package writeback

import (
	"errors"
	"os"
	"syscall"
)

// Range waits until the disk has what was written to a part of a file; 0 bytes
// mean up to its end. It makes nothing durable: unlike fsync it does not force
// the file system's journal, for which other files' fsyncs would have to wait.
func Range(f *os.File, offset, bytes int64) error {
	const waitBefore, write, waitAfter = 1, 2, 4 // sync_file_range(2)
	err := syscall.SyncFileRange(int(f.Fd()), offset, bytes, waitBefore|write|waitAfter)
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ESPIPE) {
		return f.Sync() // a file system that does not know it
	}
	return os.NewSyscallError("sync_file_range", err)
}
