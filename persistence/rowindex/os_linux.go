package rowindex

import (
	"os"
	"syscall"
)

// writeBack waits until the disk has a part of a file. It makes nothing
// durable: unlike fsync it does not force the file system's journal, for which
// a commit of the table would have to wait.
func writeBack(f *os.File, offset, bytes int64) error {
	const waitBefore, write, waitAfter = 1, 2, 4 // sync_file_range(2)
	err := syscall.SyncFileRange(int(f.Fd()), offset, bytes, waitBefore|write|waitAfter)
	if err == syscall.ENOSYS || err == syscall.EINVAL || err == syscall.ESPIPE {
		return f.Sync() // a file system that does not know it
	}
	return os.NewSyscallError("sync_file_range", err)
}

// preferHugePages spares the processor misses when it finds the address of a
// random byte of b. Where the kernel does not offer it nothing is lost.
func preferHugePages(b []byte) {
	const madvHugepage = 14 // madvise(2)
	_ = syscall.Madvise(b, madvHugepage)
}
