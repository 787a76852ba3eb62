package rowindex

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Open returns the index of the rows 1 to lastRow of the table. What segment
// files cannot be used is rebuilt, and the rows behind them are read into
// memory; ctx bounds that. The files belong to the Index alone.
func Open(ctx context.Context, lastRow int64, o Options) (_ *Index, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	x := &Index{
		Options: o.withDefaults(),
		work:    make(chan struct{}, 1), merges: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	x.ctx, x.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open the index %s: %w", o.Name, err), x.Close())
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	found, err := x.findSegments(ctx, lastRow)
	if err != nil {
		return nil, err
	}
	if err := x.chain(found); err != nil {
		return nil, err
	}
	if err := x.fillGaps(ctx); err != nil {
		return nil, err
	}
	if err := x.readTail(ctx, lastRow); err != nil {
		return nil, err
	}
	x.done.Go(x.buildLoop)
	x.done.Go(x.mergeLoop)
	wake(x.work)
	wake(x.merges)
	return x, nil
}

// findSegments opens the usable segment files and removes the others, and
// what is left of interrupted writing.
func (x *Index) findSegments(ctx context.Context, lastRow int64) (found []*segment, err error) {
	defer func() {
		if err != nil {
			closeAll(found)
		}
	}()
	files, err := os.ReadDir(x.Dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if !isSegmentFile(x.Name, strings.TrimSuffix(file.Name(), temporarySuffix)) {
			continue
		}
		path := filepath.Join(x.Dir, file.Name())
		if strings.HasSuffix(path, temporarySuffix) {
			if err := os.Remove(path); err != nil {
				return found, err
			}
			continue
		}
		s, err := x.usable(ctx, path, lastRow)
		switch {
		case errors.Is(err, errDamaged):
			x.Logger.Warn("an index file cannot be used and is rebuilt from the table", "file", file.Name(), "error", err)
			if err := os.Remove(path); err != nil {
				return found, err
			}
		case err != nil:
			return found, err
		default:
			found = append(found, s)
		}
	}
	return found, nil
}

// usable opens a segment and checks that it is one of this index and of the
// table as it is now.
func (x *Index) usable(ctx context.Context, path string, lastRow int64) (*segment, error) {
	s, err := openSegment(path)
	if err != nil {
		return nil, err
	}
	if err := x.checkSegment(ctx, s, lastRow); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (x *Index) checkSegment(ctx context.Context, s *segment, lastRow int64) error {
	if err := s.belongsTo(x.Name, x.Columns); err != nil {
		return err
	}
	if s.last > lastRow {
		return fmt.Errorf("%w: the table has no row %d", errDamaged, s.last)
	}
	stamp, err := x.Table.Stamp(ctx, s.last)
	if err != nil {
		return err
	}
	if stamp != s.stamp {
		return fmt.Errorf("%w: row %d of the table is another one", errDamaged, s.last)
	}
	return nil
}

// belongsTo checks that a segment is one of the index called name.
func (s *segment) belongsTo(name string, columns []Column) error {
	if filepath.Base(s.path) != segmentFileName(name, s.first, s.last) || len(s.columns) != len(columns) {
		return fmt.Errorf("%w: of another index", errDamaged)
	}
	for c := range columns {
		if columns[c].Hashed != (len(s.search[c].filter) > 0) {
			return fmt.Errorf("%w: of another index", errDamaged)
		}
	}
	return nil
}

func closeAll(segments []*segment) {
	for _, s := range segments {
		_ = s.close() // they were only read
	}
}

// chain takes the segments that follow each other, the largest where several
// begin with the same row. Those within another are what a merge left behind.
func (x *Index) chain(found []*segment) error {
	slices.SortFunc(found, func(a, b *segment) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return cmp.Compare(b.last, a.last)
	})
	next := int64(1)
	for i, s := range found {
		if s.first >= next {
			x.segments = append(x.segments, s)
			next = s.last + 1
			continue
		}
		if err := errors.Join(s.close(), os.Remove(s.path)); err != nil {
			closeAll(found[i+1:])
			return err
		}
	}
	return nil
}

// fillGaps writes new segments where one is missing before another.
func (x *Index) fillGaps(ctx context.Context) error {
	next := int64(1)
	for i := 0; i < len(x.segments); i++ {
		for s := x.segments[i]; next < s.first; i++ {
			last := min(next+int64(x.GenerationRows), s.first) - 1
			rebuilt, err := x.rebuild(ctx, next, last)
			if err != nil {
				return err
			}
			x.segments = slices.Insert(x.segments, i, rebuilt)
			next = last + 1
		}
		next = x.segments[i].last + 1
	}
	return nil
}

// rebuild writes the segment of some rows from the table.
func (x *Index) rebuild(ctx context.Context, first, last int64) (*segment, error) {
	x.Logger.Info("rebuilding a part of the index", "index", x.Name, "first_row", first, "last_row", last)
	g := newGeneration(first, x.Columns)
	err := x.Table.Scan(ctx, first, last, func(row int64, keys []uint64) {
		g.holesUpTo(row)
		g.add(keys)
	})
	if err != nil {
		return nil, err
	}
	g.holesUpTo(last + 1)
	return x.writeGeneration(ctx, g)
}

// readTail reads the rows behind the last segment. As the background work has
// not begun, what does not fit into the memory is written on the way. What an
// index had in memory before fits: a full disk does not keep it from opening.
func (x *Index) readTail(ctx context.Context, lastRow int64) error {
	next := int64(1)
	if n := len(x.segments); n > 0 {
		next = x.segments[n-1].last + 1
	}
	x.open = newGeneration(next, x.Columns)
	for next <= lastRow {
		last := min(next+int64(x.GenerationRows)-1, lastRow)
		if err := x.Table.Scan(ctx, next, last, x.add); err != nil {
			return err
		}
		for len(x.frozen) > x.MaxFrozen {
			if err := x.buildOldest(ctx); err != nil {
				return err
			}
		}
		next = last + 1
	}
	return nil
}
