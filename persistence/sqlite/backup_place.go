package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkPlaces refuses a backup inside its source and the other way round.
func checkPlaces(source, dir string) error {
	from, err := filepath.EvalSymlinks(source)
	if err != nil {
		return fmt.Errorf("look for the data directory: %w", err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		return refuse("the directory above %s: %s; create it first", dir, err)
	}
	to := filepath.Join(parent, filepath.Base(dir))
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		to = resolved
	}
	if from, err = filepath.Abs(from); err != nil {
		return err
	}
	if to, err = filepath.Abs(to); err != nil {
		return err
	}
	if within(from, to) || within(to, from) {
		return refuse("%s and the data directory %s lie in each other; put the backup elsewhere, best on another disk", dir, source)
	}
	return nil
}

// within reports whether path is dir or lies below it.
func within(dir, path string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// checkSpace refuses what the disk has no room for: the whole database, or
// twice what it has grown by beyond have, as log and as rows.
func (b *backup) checkSpace(have int64) error {
	need := int64(0)
	for _, name := range []string{databaseFile, logFile} {
		if info, err := os.Stat(filepath.Join(b.report.Source, name)); err == nil {
			need += info.Size()
		}
	}
	if have > 0 {
		need = 2 * max(0, need-have)
	}
	return checkRoom(filepath.Dir(filepath.Clean(b.dir)), need)
}

func checkRoom(dir string, need int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("look for free space in %s: %w", dir, err)
	}
	const reserve = 16 << 20
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < need+reserve { //nolint:unconvert // other systems have other types
		return refuse("%s has %d MiB free, up to %d MiB are needed; free space or choose another disk", dir, free>>20, (need+reserve)>>20)
	}
	return nil
}

func partialName(base string) string { return base + ".partial-" }

// removePartials removes what killed backups to the same place have left.
func removePartials(parent, base string) error {
	left, err := filepath.Glob(filepath.Join(globQuote(parent), globQuote(partialName(base))+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if !isPartial(dir) {
			continue
		}
		lock, err := lockDir(dir)
		if err != nil {
			continue // somebody is at it
		}
		if err := errors.Join(os.RemoveAll(dir), lock.release()); err != nil {
			return err
		}
	}
	return nil
}

// isPartial reports whether a directory has a lock file and nothing but what a
// backup writes.
func isPartial(dir string) bool {
	entries, err := os.ReadDir(dir)
	locked := false
	for _, e := range entries {
		locked = locked || e.Name() == lockFile
		if e.Name() != lockFile && !strings.HasPrefix(e.Name(), databaseFile) && !strings.HasPrefix(e.Name(), manifestFile) && !strings.HasPrefix(e.Name(), keysCopyPrefix) {
			return false
		}
	}
	return err == nil && locked
}

// globQuote makes a pattern that only s fits.
func globQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
