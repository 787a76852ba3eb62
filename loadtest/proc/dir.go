package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// DirBytes is what a directory and all below it take on the disk, in bytes: the
// allocated blocks, so that holes in files do not count. Files that vanish in
// the meantime are left out; a directory that does not exist is an error.
func DirBytes(dir string) (int64, error) {
	const blockBytes = 512 // the unit of st_blocks, whatever the file system's own
	var total int64
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				if stat, ok := info.Sys().(*syscall.Stat_t); ok {
					total += stat.Blocks * blockBytes
				}
			}
		}
		if path != dir && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return total, nil
}
