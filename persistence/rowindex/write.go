package rowindex

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"sekali/persistence/writeback"
)

const (
	// writeOutEvery bounds what of a segment under construction is in memory only,
	// so that a commit of the table, which may have to wait for the same disk,
	// does not wait long.
	writeOutEvery = 1 << 20

	temporarySuffix = ".tmp"
)

// segmentFileName is unique by the rows: what covers the same rows is the same.
func segmentFileName(name string, first, last int64) string {
	return fmt.Sprintf("%s-%012d-%012d.seg", name, first, last)
}

// isSegmentFile reports whether file is a name of segmentFileName. The files
// of an index whose name begins with this name and a dash are not.
func isSegmentFile(name, file string) bool {
	var first, last int64
	rows, ok := strings.CutPrefix(file, name)
	if _, err := fmt.Sscanf(rows, "-%d-%d.seg", &first, &last); err != nil || !ok {
		return false
	}
	return file == segmentFileName(name, first, last)
}

// source gives the entries of one column in order, with offsets relative to
// the first row of the segment under construction.
type source interface {
	entries() uint64
	next() (e entry, ok bool, err error)
}

// sliceSource is a source in memory.
type sliceSource struct{ rest []entry }

func (s *sliceSource) entries() uint64 { return uint64(len(s.rest)) }

func (s *sliceSource) next() (entry, bool, error) {
	if len(s.rest) == 0 {
		return entry{}, false, nil
	}
	e := s.rest[0]
	s.rest = s.rest[1:]
	return e, true, nil
}

// segmentPlan says what segment is to be written.
type segmentPlan struct {
	dir, name   string
	first, last int64
	stamp       uint64
	hashed      []bool // which columns get a filter
	columns     []source
	// pause is called after each piece with the time that it took; nil: on to
	// the next.
	pause func(worked time.Duration) error
	step  func(string)
}

// segmentWriter writes a segment file front to back, but for the header, which
// comes last: without it the file is no segment.
type segmentWriter struct {
	segmentPlan
	ctx     context.Context
	file    *os.File
	buffer  []byte
	at      uint64 // position of the end of buffer
	started time.Time
}

// write makes the segment durable under its final name and returns it open.
func (p segmentPlan) write(ctx context.Context) (_ *segment, err error) {
	path := filepath.Join(p.dir, segmentFileName(p.name, p.first, p.last))
	temporary := path + temporarySuffix
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, file: f}
	defer func() {
		if err != nil {
			_ = s.close() // what it held is of no use
			_ = os.Remove(temporary)
		}
	}()
	w := &segmentWriter{segmentPlan: p, ctx: ctx, file: f, buffer: make([]byte, 0, writeOutEvery), at: headerBytes, started: time.Now()}
	if err := w.fill(s); err != nil {
		return nil, err
	}
	p.step("written")
	if err := os.Rename(temporary, path); err != nil {
		return nil, err
	}
	p.step("renamed")
	return s, syncDir(p.dir)
}

func (w *segmentWriter) fill(s *segment) error {
	if _, err := w.file.Seek(headerBytes, io.SeekStart); err != nil {
		return err
	}
	s.header = header{first: w.first, last: w.last, stamp: w.stamp}
	for i, source := range w.columns {
		c, search, err := w.column(source, w.hashed[i], s.salt(i))
		s.columns = append(s.columns, c)
		s.search = append(s.search, search)
		if err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := w.file.WriteAt(s.encode(), 0); err != nil {
		return err
	}
	return w.file.Sync()
}

// column writes the blocks of a column and behind them its fences and filter.
func (w *segmentWriter) column(from source, hashed bool, salt uint64) (c columnHeader, search columnSearch, err error) {
	c.blocksAt = w.at
	if hashed {
		if search.filter, err = newFilter(from.entries()); err != nil {
			return c, search, err
		}
	}
	var b block
	for {
		count, err := fillBlock(&b, from, search.filter)
		if err != nil {
			return c, search, err
		}
		if count == 0 {
			break
		}
		b.seal(count, search.blocks(), salt)
		search.fences = append(search.fences, b[:entryBytes]...)
		c.entries += uint64(count)
		if err := w.append(b[:]); err != nil {
			return c, search, err
		}
		if search.blocks()%(politeEntries/entriesPerBlock) == 0 {
			runtime.Gosched()
		}
		w.step("block")
	}
	c.fencesAt = w.at
	c.filterAt = c.fencesAt + uint64(len(search.fences))
	sum := xxhash.New()
	for _, part := range [][]byte{search.fences, search.filter} {
		_, _ = sum.Write(part) // a hash never fails
		if err := w.append(part); err != nil {
			return c, search, err
		}
	}
	c.end, c.tailSum = w.at, sum.Sum64()
	return c, search, nil
}

// fillBlock moves entries into b, and their keys into the filter.
func fillBlock(b *block, from source, seen filter) (count int, err error) {
	for count < entriesPerBlock {
		e, ok, err := from.next()
		if err != nil || !ok {
			return count, err
		}
		if seen != nil {
			seen.add(e.key)
		}
		putEntry(b[count*entryBytes:], e)
		count++
	}
	return count, nil
}

func (w *segmentWriter) append(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writeOutEvery-len(w.buffer))
		w.buffer = append(w.buffer, b[:n]...)
		w.at += uint64(n)
		b = b[n:]
		if len(w.buffer) == writeOutEvery {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the buffer out and waits until it has left the memory.
func (w *segmentWriter) flush() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	n, err := w.file.Write(w.buffer)
	if err != nil {
		return err
	}
	w.buffer = w.buffer[:0]
	if err := writeback.Range(w.file, int64(w.at)-int64(n), int64(n)); err != nil || w.pause == nil {
		return err
	}
	err = w.pause(time.Since(w.started))
	w.started = time.Now()
	return err
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
