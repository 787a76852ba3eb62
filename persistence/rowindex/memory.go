package rowindex

import (
	"fmt"
	"syscall"
)

// allocate returns n zero bytes that the garbage collector does not know: it
// would keep as much again free as the filters of all segments take. Large ones
// get pages of the kernel's larger kind where it has them.
func allocate(n int) ([]byte, error) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	preferHugePages(b)
	return b, nil
}

// release gives memory of allocate back. Nobody may use it from then on.
func release(b []byte) error {
	if b == nil {
		return nil
	}
	return syscall.Munmap(b)
}
