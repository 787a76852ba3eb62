package sqlite

import (
	"fmt"
	"syscall"
)

// fileSystem is a type of file system that needs a word.
type fileSystem struct {
	name string
	// refused says why no data directory belongs there; warning, what one
	// there does not give.
	refused, warning string
}

const (
	overNetwork = "its locks and syncs are those of another machine, or of none: two servers could write at once, and an answered event could be lost"
	inUserSpace = "what a sync means there is decided by the program that serves it"
	inMemory    = "it is memory: every event is lost when the machine restarts"
	ofContainer = "it ends with the container; mount a volume there"
)

// fileSystems by the magic number of statfs(2). What is not named is taken.
var fileSystems = map[int64]fileSystem{
	0x6969:     {name: "nfs", refused: overNetwork},
	0x517b:     {name: "smb", refused: overNetwork},
	0xff534d42: {name: "cifs", refused: overNetwork},
	0xfe534d42: {name: "smb2", refused: overNetwork},
	0x00c36400: {name: "ceph", refused: overNetwork},
	0x5346414f: {name: "afs", refused: overNetwork},
	0x6b414653: {name: "kafs", refused: overNetwork},
	0x73757245: {name: "coda", refused: overNetwork},
	0x0bd00bd0: {name: "lustre", refused: overNetwork},
	0x47504653: {name: "gpfs", refused: overNetwork},
	0x01161970: {name: "gfs2", refused: overNetwork},
	0x7461636f: {name: "ocfs2", refused: overNetwork},
	0x01021997: {name: "9p", refused: overNetwork},
	0x65735546: {name: "fuse", refused: inUserSpace},
	0x786f4256: {name: "vboxsf", refused: inUserSpace},
	0x01021994: {name: "tmpfs", warning: inMemory},
	0x858458f6: {name: "ramfs", warning: inMemory},
	0x794c7630: {name: "overlay", warning: ofContainer},
}

// fileSystemOf returns what is to be said of the file system of a directory,
// the zero value when that is nothing.
func fileSystemOf(dir string) (fileSystem, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return fileSystem{}, fmt.Errorf("ask for the file system of %s: %w", dir, err)
	}
	return fileSystems[int64(uint32(stat.Type))], nil
}
