package rowindex

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"syscall"

	"github.com/cespare/xxhash/v2"
)

// segment is an open segment file. It is immutable; any goroutine may read.
type segment struct {
	header
	path   string
	file   *os.File
	search []columnSearch
}

// columnSearch is what of a column is kept in memory.
type columnSearch struct {
	fences []byte // the first entry of each block
	filter filter // empty where there is none
}

func (c *columnSearch) blocks() int { return len(c.fences) / entryBytes }

func (c *columnSearch) fence(block int) entry { return entryAt(c.fences, block) }

// blockOf returns the block in which e would be: the last one whose first
// entry is not greater, or the first one.
func (c *columnSearch) blockOf(e entry) int {
	return max(0, sort.Search(c.blocks(), func(i int) bool { return c.fence(i).compare(e) > 0 })-1)
}

var blockPool = sync.Pool{New: func() any { return new(block) }}

// openSegment opens a file and checks its header, fences and filter. Blocks
// are checked whenever they are read.
func openSegment(path string) (_ *segment, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, file: f}
	defer func() {
		if err != nil {
			_ = s.close() // it was only read
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	page := make([]byte, headerBytes)
	if err := readAt(f, page, 0); err != nil {
		return nil, err
	}
	h, err := decodeHeader(page, info.Size())
	if err != nil {
		return nil, err
	}
	s.header = *h
	for c := range h.columns {
		search, err := s.readSearch(&h.columns[c])
		s.search = append(s.search, search)
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *segment) readSearch(c *columnHeader) (search columnSearch, err error) {
	search.fences = make([]byte, c.filterAt-c.fencesAt)
	if c.end > c.filterAt {
		memory, err := allocate(int(c.end - c.filterAt))
		if err != nil {
			return search, err
		}
		search.filter = memory
	}
	sum, at := xxhash.New(), int64(c.fencesAt)
	for _, part := range [][]byte{search.fences, search.filter} {
		if err := readAt(s.file, part, at); err != nil {
			return search, err
		}
		_, _ = sum.Write(part) // a hash never fails
		at += int64(len(part))
	}
	if sum.Sum64() != c.tailSum {
		return search, fmt.Errorf("%w: fences or filter", errDamaged)
	}
	return search, nil
}

// readAt fills b. A file that is too short and one that the disk cannot read
// are damaged: everything in them can be had from the table.
func readAt(f *os.File, b []byte, at int64) error {
	_, err := f.ReadAt(b, at)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// close ends the use of the segment; nobody may be reading.
func (s *segment) close() error {
	errs := []error{s.file.Close()}
	for c := range s.search {
		errs = append(errs, release(s.search[c].filter))
		s.search[c].filter = nil
	}
	return errors.Join(errs...)
}

func (s *segment) rows() int64 { return s.last - s.first + 1 }

// readBlock reads and checks a block of a column.
func (s *segment) readBlock(b *block, column, number int) error {
	at := int64(s.columns[column].blocksAt) + int64(number)*pageBytes
	if err := readAt(s.file, b[:], at); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if err := b.check(number, s.salt(column)); err != nil {
		return fmt.Errorf("%s, column %d: %w", s.path, column, err)
	}
	return nil
}

// candidates appends the keys that the filter of a hashed column lets through.
func (s *segment) candidates(looks []look, column int, keys []uint64) []look {
	f := s.search[column].filter
	for i, key := range keys {
		if i%warmKeys == 0 {
			f.warm(keys[i:min(i+warmKeys, len(keys))])
		}
		if f.has(key) {
			looks = append(looks, look{s, i})
		}
	}
	return looks
}

// rowsOf appends the rows that have the key in a hashed column.
func (s *segment) rowsOf(rows []int64, column int, key uint64) ([]int64, error) {
	return s.scan(rows, column, key, s.first-1, false, int(s.rows()))
}

// scan appends up to limit rows behind after, in the direction of the order,
// that have the key.
func (s *segment) scan(rows []int64, column int, key uint64, after int64, descending bool, limit int) ([]int64, error) {
	low, high := s.first, s.last // the rows that may be found
	if descending {
		high = min(high, after-1)
	} else {
		low = max(low, after+1)
	}
	if low > high || limit <= 0 {
		return rows, nil
	}
	b := blockPool.Get().(*block)
	defer blockPool.Put(b)
	from, to := entry{key, uint32(low - s.first)}, entry{key, uint32(high - s.first)}
	if descending {
		return s.scanDown(rows, b, column, from, to, limit)
	}
	return s.scanUp(rows, b, column, from, to, limit)
}

func (s *segment) scanUp(rows []int64, b *block, column int, from, to entry, limit int) ([]int64, error) {
	search := &s.search[column]
	for n := search.blockOf(from); n < search.blocks(); n++ {
		if search.fence(n).compare(to) > 0 {
			break
		}
		if err := s.readBlock(b, column, n); err != nil {
			return nil, err
		}
		count := b.count()
		i := sort.Search(count, func(i int) bool { return entryAt(b[:], i).compare(from) >= 0 })
		for ; i < count; i++ {
			e := entryAt(b[:], i)
			if e.compare(to) > 0 || limit == 0 {
				return rows, nil
			}
			rows, limit = append(rows, s.first+int64(e.offset)), limit-1
		}
	}
	return rows, nil
}

func (s *segment) scanDown(rows []int64, b *block, column int, from, to entry, limit int) ([]int64, error) {
	search := &s.search[column]
	for n := search.blockOf(to); n >= 0 && n < search.blocks(); n-- {
		if err := s.readBlock(b, column, n); err != nil {
			return nil, err
		}
		i := sort.Search(b.count(), func(i int) bool { return entryAt(b[:], i).compare(to) > 0 }) - 1
		for ; i >= 0; i-- {
			e := entryAt(b[:], i)
			if e.compare(from) < 0 || limit == 0 {
				return rows, nil
			}
			rows, limit = append(rows, s.first+int64(e.offset)), limit-1
		}
	}
	return rows, nil
}

// verify reads every block, and compares what is kept in memory of it.
func (s *segment) verify() error {
	b := blockPool.Get().(*block)
	defer blockPool.Put(b)
	for c := range s.search {
		for n := range s.search[c].blocks() {
			if err := s.readBlock(b, c, n); err != nil {
				return err
			}
			if entryAt(b[:], 0) != s.search[c].fence(n) {
				return fmt.Errorf("%w: %s, column %d: fence %d", errDamaged, s.path, c, n)
			}
		}
	}
	return nil
}
