package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sekali/persistence/rowindex"
)

// Inspection is what one look at a data directory shows, without opening its
// database and without changing anything, whether a server uses it or not.
type Inspection struct {
	Dir      string
	Mode     fs.FileMode // of the directory
	Writable bool        // for this user

	InUse  bool
	Holder string // the words of the process that has it, when in use

	FileSystem        string // its type, when there is something to say about it
	FileSystemRefused string // why no data directory belongs there
	FileSystemWarning string

	FreeBytes, TotalBytes uint64 // of the file system, for this user
	FreeFiles, TotalFiles uint64

	Backup    bool // it is a backup
	Restoring bool // a restore did not come to its end

	HasDatabase   bool
	DatabaseBytes int64
	DatabaseFault string // why the file is not a database of this version; "" when it is
	LogBytes      int64
	// Log is the audit of the log, nil while a process writes to it. Loss is
	// what it proves to be missing, nil when nothing.
	Log  *LogReport
	Loss error

	IndexFiles  int
	IndexFaults []string // files that are rebuilt at the next start, and why

	HasKeys  bool
	KeysMode fs.FileMode

	Foreign []string // names that no version of Sekali makes
}

// Inspect looks at the data directory dir. The error is that of reading the
// directory itself; fs.ErrNotExist when there is none.
func Inspect(dir string) (*Inspection, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	i := &Inspection{Dir: dir, Mode: info.Mode().Perm(), Writable: syscall.Access(dir, 2|1) == nil}
	for _, look := range []func() error{i.lookAtLock, i.lookAtDisk, i.lookAtNames, i.lookAtDatabase, i.lookAtLog, i.lookAtIndex} {
		if err := look(); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// lookAtLock takes the lock for a moment, for reading.
func (i *Inspection) lookAtLock() error {
	lock, err := shareDir(i.Dir)
	if inUse, ok := errors.AsType[*InUseError](err); ok {
		i.InUse, i.Holder = true, inUse.Holder
		return nil
	}
	if err != nil {
		return err
	}
	return lock.release()
}

func (i *Inspection) lookAtDisk() error {
	f, err := fileSystemOf(i.Dir)
	if err != nil {
		return err
	}
	i.FileSystem, i.FileSystemRefused, i.FileSystemWarning = f.name, f.refused, f.warning
	var stat syscall.Statfs_t
	if err := syscall.Statfs(i.Dir, &stat); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", i.Dir, err)
	}
	size := uint64(stat.Bsize)
	i.FreeBytes, i.TotalBytes = uint64(stat.Bavail)*size, uint64(stat.Blocks)*size //nolint:unconvert // other systems have other types
	i.FreeFiles, i.TotalFiles = uint64(stat.Ffree), uint64(stat.Files)             //nolint:unconvert // as above
	return nil
}

// ownNames are the files of a data directory; those of the keys begin with
// "keys.", those of the database with the name of its file.
var ownNames = []string{lockFile, markName, probeName, indexFolder, manifestFile, restoringFile, "lost+found"}

func (i *Inspection) lookAtNames() error {
	entries, err := os.ReadDir(i.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == manifestFile:
			i.Backup = true
		case name == restoringFile:
			i.Restoring = true
		case name == keysFile:
			i.HasKeys = true
			if info, err := e.Info(); err == nil {
				i.KeysMode = info.Mode().Perm()
			}
		case slices.Contains(ownNames, name), strings.HasPrefix(name, databaseFile), strings.HasPrefix(name, "keys."):
		case i.Backup && strings.HasPrefix(name, keysCopyPrefix): // BACKUP.json comes first
		default:
			i.Foreign = append(i.Foreign, name)
		}
	}
	return nil
}

// lookAtDatabase reads the first page of the file. A server's locks are not
// touched: they belong to its own open files.
func (i *Inspection) lookAtDatabase() error {
	path := filepath.Join(i.Dir, databaseFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	i.HasDatabase, i.DatabaseBytes = true, info.Size()
	if err := checkHeader(path); err != nil {
		i.DatabaseFault = err.Error()
		return nil
	}
	version, err := headerVersion(path)
	if err != nil {
		return err
	}
	if version != schemaVersion {
		i.DatabaseFault = fmt.Sprintf("it has schema version %d, this sekali knows version %d; use the release that wrote it", version, schemaVersion)
	}
	return nil
}

// headerVersion returns the user_version of a database without opening it.
func headerVersion(path string) (_ uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const versionOffset = 60
	var version [4]byte
	if _, err := f.ReadAt(version[:], versionOffset); err != nil {
		return 0, fmt.Errorf("read the header of the database: %w", err)
	}
	return binary.BigEndian.Uint32(version[:]), nil
}

// lookAtLog audits the log unless a process is writing it.
func (i *Inspection) lookAtLog() error {
	if info, err := os.Stat(filepath.Join(i.Dir, logFile)); err == nil {
		i.LogBytes = info.Size()
	}
	if i.InUse || i.Backup {
		return nil
	}
	report, err := auditLog(i.Dir)
	if err != nil {
		return err
	}
	i.Log = &report
	_, i.Loss = checkLoss(i.Dir, &report, nil, Options{})
	return nil
}

// lookAtIndex reads the headers of the index files.
func (i *Inspection) lookAtIndex() error {
	files, err := filepath.Glob(filepath.Join(globQuote(i.Dir), indexFolder, "*.seg"))
	if err != nil {
		return err
	}
	for _, path := range files {
		err := rowindex.CheckHeader(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // merged meanwhile
			continue
		case rowindex.IsDamaged(err):
			i.IndexFaults = append(i.IndexFaults, fmt.Sprintf("%s: %s", filepath.Base(path), err))
		case err != nil:
			return err
		}
		i.IndexFiles++
	}
	return nil
}
