package rowindex

import "syscall"

// preferHugePages spares the processor misses of its address cache (TLB) when it
// reads random bytes of b. Where the kernel does not offer it nothing is lost.
func preferHugePages(b []byte) {
	const madvHugepage = 14 // madvise(2)
	_ = syscall.Madvise(b, madvHugepage)
}
