package rowindex

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
)

// SegmentCheck is what a segment file says, after everything in it was read.
type SegmentCheck struct {
	First, Last int64  // rows covered
	Stamp       uint64 // see Table.Stamp, of row Last
	// Entries and Sums are the number of entries of each column and the sum of
	// their EntrySum: those of the rows themselves must be the same.
	Entries []int64
	Sums    []uint64
}

// EntrySum condenses that a row has a key. Sums of it, modulo 2^64, tell two
// sets of entries apart whatever their order.
func EntrySum(key uint64, row int64) uint64 { return mix(key ^ mix(uint64(row))) }

// mix spreads each bit of x over all of the result (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return bits.RotateLeft64(x^x>>31, 17)
}

// IsSegmentFile reports whether path has the name of a segment file of the
// index called name.
func IsSegmentFile(name, path string) bool { return isSegmentFile(name, filepath.Base(path)) }

// IsDamaged reports whether err says that a segment file is not what was
// written, rather than that it could not be looked at.
func IsDamaged(err error) bool { return errors.Is(err, errDamaged) }

// CheckSegment reads a segment file of the index called name from end to end
// without an Index: its checksums, the order of its entries, and that each key
// passes the filter. What the entries should be, the caller knows from the
// table. read is called with how many entries were read since the last call.
func CheckSegment(ctx context.Context, path, name string, columns []Column, read func(entries int)) (_ SegmentCheck, err error) {
	s, err := openSegment(path)
	if err != nil {
		return SegmentCheck{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	check := SegmentCheck{First: s.first, Last: s.last, Stamp: s.stamp}
	if err := s.belongsTo(name, columns); err != nil {
		return check, err
	}
	for c := range s.search {
		sum, err := s.checkColumn(ctx, c, read)
		if err != nil {
			return check, err
		}
		check.Entries = append(check.Entries, int64(s.columns[c].entries))
		check.Sums = append(check.Sums, sum)
	}
	return check, nil
}

// checkColumn reads the blocks of a column and returns the sum of its entries.
func (s *segment) checkColumn(ctx context.Context, column int, read func(entries int)) (sum uint64, err error) {
	search := &s.search[column]
	b := blockPool.Get().(*block)
	defer blockPool.Put(b)
	var before entry
	found := uint64(0)
	for n := range search.blocks() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := s.readBlock(b, column, n); err != nil {
			return 0, err
		}
		for i := range b.count() {
			e := entryAt(b[:], i)
			if fault := s.entryFault(search, e, before, found, i == 0, n); fault != "" {
				return 0, fmt.Errorf("%w: %s, column %d, block %d: %s", errDamaged, s.path, column, n, fault)
			}
			sum += EntrySum(e.key, s.first+int64(e.offset))
			before = e
			found++
		}
		read(b.count())
	}
	if found != s.columns[column].entries {
		return 0, fmt.Errorf("%w: %s, column %d: %d entries, should be %d", errDamaged, s.path, column, found, s.columns[column].entries)
	}
	return sum, nil
}

// entryFault says what is wrong with an entry behind found others, the last
// of which was before; "" when nothing is.
func (s *segment) entryFault(search *columnSearch, e, before entry, found uint64, first bool, block int) string {
	switch {
	case first && search.fence(block) != e:
		return "its fence is another entry"
	case found > 0 && before.compare(e) >= 0:
		return "its entries are not in order"
	case int64(e.offset) >= s.rows():
		return "an entry is of a row that the segment does not cover"
	case len(search.filter) > 0 && !search.filter.has(e.key):
		return "the filter does not know a key"
	}
	return ""
}

// CheckHeader checks the header of a segment file against its checksum and the
// size of the file: what a look at its first page can tell.
func CheckHeader(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	page := make([]byte, headerBytes)
	if err := readAt(f, page, 0); err != nil {
		return err
	}
	_, err = decodeHeader(page, info.Size())
	return err
}
