package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
)

// watchTime is how often a store looks after its files, and for room on a full
// disk.
const watchTime = time.Second

// watchedFile is a file that has to stay what it was when the store opened.
type watchedFile struct {
	path string
	info os.FileInfo
}

// statFiles notes which files the database and its log are.
func statFiles(path string) (files []watchedFile, err error) {
	for _, p := range []string{path, path + "-wal"} {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("note which file the database is: %w", err)
		}
		files = append(files, watchedFile{p, info})
	}
	return files, nil
}

// watchLoop notices what no write would: that the database was removed or
// replaced while it is in use, so that everything goes into a file that nobody
// will find, and that a full disk has room again.
func (s *Store) watchLoop() {
	ticker := time.NewTicker(s.options.watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-ticker.C:
			s.checkFiles()
			s.lookForRoom()
		}
	}
}

func (s *Store) checkFiles() {
	for _, f := range s.files {
		now, err := os.Stat(f.path)
		if err == nil && os.SameFile(now, f.info) {
			continue
		}
		if err == nil {
			err = fmt.Errorf("another file has its place")
		}
		_ = s.writeFailed("look after the files", fmt.Errorf("%s was removed or replaced while the server runs: %w", filepath.Base(f.path), err)) // logs it
		return
	}
}

// lookForRoom ends the refusal of writes when the disk takes a file again.
func (s *Store) lookForRoom() {
	full := s.full.Load()
	if full == nil || s.failure.Load() != nil {
		return
	}
	if err := probe(s.dir, fullProbeBytes, s.options.disk); err != nil {
		s.log.Debug("the disk is still full", "error", err)
		return
	}
	if s.full.CompareAndSwap(full, nil) {
		s.log.Info("the disk has room again, taking writes", "dir", s.dir)
	}
}

// run starts a goroutine of the store. A panic in it is the failure of the
// store, not the end of the process.
func (s *Store) run(what string, loop func()) {
	s.done.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				_ = s.writeFailed(what, panicError(p)) // logs it
			}
		}()
		loop()
	})
}

// containAppend makes a panic in AppendBatch the failure of the store: nobody
// knows what of the batch was written.
func (s *Store) containAppend(err *error) {
	if p := recover(); p != nil {
		*err = s.writeFailed("append batch", panicError(p))
	}
}

// contain makes a panic the error of a goroutine.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = panicError(p)
	}
}

// panicError is a recovered panic with its stack, for the log.
func panicError(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }
