package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"sekali/persistence/rowindex"
)

// segmentFile is a file of one of the indexes.
type segmentFile struct {
	path    string
	name    string // of the index
	columns []rowindex.Column
	check   rowindex.SegmentCheck
}

// openSegmentFiles reads all index files to their end and finds out which rows
// they cover. What they should say, the rows tell later.
func (v *verifier) openSegmentFiles(ctx context.Context) error {
	folder := filepath.Join(v.dir, indexFolder)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made anew from the rows at the next start
	}
	if err != nil {
		return fmt.Errorf("list the index: %w", err)
	}
	var found []*segmentFile
	total := int64(0)
	for _, e := range entries {
		for name, columns := range indexColumns {
			if !rowindex.IsSegmentFile(name, e.Name()) {
				continue
			}
			found = append(found, &segmentFile{path: filepath.Join(folder, e.Name()), name: name, columns: columns})
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
	}
	return v.readSegmentFiles(ctx, found, total/12) // about 12 bytes an entry
}

func (v *verifier) readSegmentFiles(ctx context.Context, found []*segmentFile, total int64) error {
	var done atomic.Int64
	read := func(entries int) { v.progress("index", min(done.Add(int64(entries)), total), total) }
	err := inParallel(v.Workers, len(found), func() func(i int) error {
		return func(i int) (err error) {
			if i < 0 {
				return nil
			}
			f := found[i]
			f.check, err = rowindex.CheckSegment(ctx, f.path, f.name, f.columns, read)
			if rowindex.IsDamaged(err) {
				v.find(FindingIndex, "%s: %s", filepath.Base(f.path), err)
				f.path, err = "", nil
			}
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	for _, f := range found {
		if f.path != "" {
			v.files = append(v.files, f)
		}
	}
	v.report.IndexFiles, v.report.IndexEntries = len(found), done.Load()
	return nil
}

// checkSegmentFiles compares the sums of each file with those of the rows that
// it covers.
func (v *verifier) checkSegmentFiles(context.Context) error {
	for _, f := range v.files {
		last, stamp, want := v.eventsOf(f)
		if f.name == duplicatesIndex {
			last, stamp, want = v.duplicatesOf(f)
		}
		switch {
		case f.check.Last > last:
			v.find(FindingIndex, "%s covers rows up to %d, the table ends at %d: rows are gone, or the database is an older one", filepath.Base(f.path), f.check.Last, last)
		case f.check.Stamp != stamp:
			v.find(FindingIndex, "%s is of another database, or its last row has changed", filepath.Base(f.path))
		default:
			v.compareSums(f, want)
		}
	}
	return nil
}

func (v *verifier) compareSums(f *segmentFile, want []uint64) {
	for c := range want {
		if f.check.Sums[c] != want[c] {
			v.find(FindingIndex, "%s: the entries of column %d are not those of the rows", filepath.Base(f.path), c)
		}
	}
}

// eventsOf returns where the events end, and what a file that covers some of
// them should say.
func (v *verifier) eventsOf(f *segmentFile) (last int64, stamp uint64, sums []uint64) {
	sums = make([]uint64, len(f.columns))
	for _, c := range v.chunks {
		if c.first < f.check.First || c.last > f.check.Last {
			continue
		}
		for i := range sums {
			sums[i] += c.sums[i]
		}
		if c.last == f.check.Last {
			stamp = v.keys.stamp(uint64(c.lastSum))
		}
	}
	return v.report.LastSeq, stamp, sums
}

// duplicatesOf does the same for the counted repeats.
func (v *verifier) duplicatesOf(f *segmentFile) (last int64, stamp uint64, sums []uint64) {
	sums = make([]uint64, 1)
	for _, c := range v.tally {
		if c.first < f.check.First || c.last > f.check.Last {
			continue
		}
		sums[0] += c.sum
		if c.last == f.check.Last {
			stamp = v.keys.stamp(duplicateSum(c.last, c.lastSeq))
		}
	}
	return v.lastID, stamp, sums
}
