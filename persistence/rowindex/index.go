package rowindex

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Column is one key of each row.
type Column struct {
	// Hashed says that the keys are hashes, which hardly repeat: the column
	// gets a hash table in memory and a filter in each segment, and is asked
	// with Find. Other columns are asked with Scan; their keys are not 0.
	Hashed bool
}

// Table is the append-only table that an index covers. Its methods may be
// called by several goroutines at a time.
type Table interface {
	// Scan calls add with the keys of the rows from first to last that exist,
	// in order. The keys belong to the caller of add.
	Scan(ctx context.Context, first, last int64, add func(row int64, keys []uint64)) error
	// Stamp returns a number that tells the content of a row from any other
	// that might have had its number; 0 when there is no such row. Segments
	// carry that of their last row.
	Stamp(ctx context.Context, row int64) (uint64, error)
}

// Options of an Index.
type Options struct {
	Dir     string // of the segment files; created when missing
	Name    string // begins the names of the files
	Columns []Column
	Table   Table
	// GenerationRows is the number of rows in a generation (default 262,144):
	// at most some of these are read at start and kept in memory.
	GenerationRows int
	// Fanout is how many segments of one size are merged into one of the next
	// (default 8).
	Fanout int
	// MaxFrozen is how many full generations may wait for their segment
	// (default 4); then Ready waits.
	MaxFrozen int
	Logger    *slog.Logger // default: discards

	step func(string) // called at each step of the background work; for tests
}

const (
	// maxGenerationRows is what the offsets of a generation's hash table can tell.
	maxGenerationRows = 1<<32 - 2
	maxFanout         = 1 << 10 // each segment of a merge needs a block of memory
)

func (o *Options) validate() error {
	switch {
	case o.Dir == "" || o.Name == "" || o.Table == nil:
		return errors.New("an index needs a folder, a name and a table")
	case len(o.Columns) == 0 || len(o.Columns) > maxColumns:
		return fmt.Errorf("an index has 1 to %d columns, not %d", maxColumns, len(o.Columns))
	case o.GenerationRows < 0 || int64(o.GenerationRows) > maxGenerationRows:
		return fmt.Errorf("generations of %d rows are impossible", o.GenerationRows)
	case o.Fanout < 0 || o.Fanout == 1 || o.Fanout > maxFanout || o.MaxFrozen < 0:
		return fmt.Errorf("a fan-out of %d or %d waiting generations are impossible", o.Fanout, o.MaxFrozen)
	}
	return nil
}

func (o Options) withDefaults() Options {
	o.GenerationRows = cmp.Or(o.GenerationRows, 1<<18)
	o.Fanout = cmp.Or(o.Fanout, 8)
	o.MaxFrozen = cmp.Or(o.MaxFrozen, 4)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return o
}

// Index finds rows by their keys.
type Index struct {
	Options

	mu       sync.RWMutex
	segments []*segment    // by rows, without gaps
	frozen   []*generation // full, behind the segments
	open     *generation   // behind the frozen ones
	damage   error         // why nothing can be answered: a segment is being rebuilt, or errClosed
	failure  error         // of the last try of the background work
	gone     error         // a panic that ended the background work

	work    chan struct{} // wakes buildLoop
	merges  chan struct{} // wakes mergeLoop
	changed chan struct{} // replaced and closed when the builder got on
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Add takes in rows behind the last one; keys has the keys of each row, column
// by column. Numbers may be left out where the table has no row. What is added
// is found from then on.
func (x *Index) Add(first int64, keys ...[]uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	row := make([]uint64, len(keys))
	for i := range keys[0] {
		for c := range keys {
			row[c] = keys[c][i]
		}
		x.add(first+int64(i), row)
	}
}

// add takes in one row. The caller holds mu.
func (x *Index) add(row int64, keys []uint64) {
	if row <= x.open.last() {
		panic(fmt.Sprintf("BUG: row %d added behind row %d", row, x.open.last()))
	}
	for x.open.last()+1 < row {
		x.open.holesUpTo(min(row, x.open.first+int64(x.GenerationRows)))
		x.freezeWhenFull()
	}
	x.open.add(keys)
	x.freezeWhenFull()
}

func (x *Index) freezeWhenFull() {
	if x.open.rows() < x.GenerationRows {
		return
	}
	x.frozen = append(x.frozen, x.open)
	x.open = newGeneration(x.open.last()+1, x.Columns)
	x.open.reserve(x.GenerationRows)
	wake(x.work)
}

// Ready waits until there is room for the rows of another transaction: full
// generations whose segments cannot be written must not fill the memory. It
// returns why they cannot, or why the index cannot answer now.
func (x *Index) Ready(ctx context.Context) error {
	for {
		x.mu.RLock()
		waiting, failure, damage, gone, changed := len(x.frozen), x.failure, x.damage, x.gone, x.changed
		x.mu.RUnlock()
		switch {
		case gone != nil:
			return gone
		case damage != nil:
			return damage
		case waiting < x.MaxFrozen:
			return nil
		case failure != nil:
			return fmt.Errorf("%w: %w", ErrBacklog, failure)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the index: %w", ctx.Err())
		}
	}
}

// Find appends to rows all rows that have the key in a hashed column. An error
// means that it cannot be known now which those are.
func (x *Index) Find(rows []int64, column int, key uint64) ([]int64, error) {
	err := x.FindAll(column, []uint64{key}, func(_ int, row int64) { rows = append(rows, row) })
	return rows, err
}

// FindAll is Find for many keys: it calls found for each row that has keys[i],
// in no order of i. It asks each segment's filter for all keys before the
// next one's, so that the processor waits for many of them at once.
func (x *Index) FindAll(column int, keys []uint64, found func(i int, row int64)) error {
	if err := x.findAllLocked(column, keys, found); err != nil {
		return x.damaged(err)
	}
	return nil
}

// findAllLocked gives the lock back also after a panic: whoever contains it
// must not leave the index locked.
func (x *Index) findAllLocked(column int, keys []uint64, found func(i int, row int64)) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.findAll(column, keys, found)
}

func (x *Index) findAll(column int, keys []uint64, found func(i int, row int64)) error {
	if x.damage != nil {
		return x.damage
	}
	x.open.findAll(column, keys, found)
	for _, g := range x.frozen {
		g.findAll(column, keys, found)
	}
	var looks []look
	for _, s := range x.segments {
		looks = s.candidates(looks, column, keys)
	}
	return readAll(looks, column, keys, found)
}

// look is a key that a segment may have.
type look struct {
	segment *segment
	key     int // its number
}

// readsAtOnce is how many blocks are read at a time: those of old rows are random
// reads of the disk, and disks do several at once.
const readsAtOnce = 4

// readAll reads the segments and calls found for each row that they have, from
// the caller's goroutine.
func readAll(looks []look, column int, keys []uint64, found func(i int, row int64)) error {
	if len(looks) < 2*readsAtOnce {
		var rows []int64
		for _, l := range looks {
			var err error
			if rows, err = l.segment.rowsOf(rows[:0], column, keys[l.key]); err != nil {
				return err
			}
			for _, row := range rows {
				found(l.key, row)
			}
		}
		return nil
	}
	rows, errs := make([][]int64, len(looks)), make([]error, readsAtOnce)
	var workers sync.WaitGroup
	for w := range readsAtOnce {
		workers.Go(func() {
			defer contain(&errs[w])
			for i := w; i < len(looks) && errs[w] == nil; i += readsAtOnce {
				rows[i], errs[w] = looks[i].segment.rowsOf(nil, column, keys[looks[i].key])
			}
		})
	}
	workers.Wait()
	for i, l := range looks {
		for _, row := range rows[i] {
			found(l.key, row)
		}
	}
	return errors.Join(errs...)
}

// part is what a generation and a segment have in common for Scan.
type part struct {
	first, last int64
	scan        func(rows []int64, limit int) ([]int64, error)
}

// Scan appends to rows up to limit rows that have the key in a column that is
// not hashed, in ascending order from the first one behind after, or in
// descending order from the first one before it.
func (x *Index) Scan(rows []int64, column int, key uint64, after int64, descending bool, limit int) ([]int64, error) {
	rows, err := x.scanLocked(rows, column, key, after, descending, limit)
	if err != nil {
		return nil, x.damaged(err)
	}
	return rows, nil
}

func (x *Index) scanLocked(rows []int64, column int, key uint64, after int64, descending bool, limit int) ([]int64, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.scan(rows, column, key, after, descending, limit)
}

func (x *Index) scan(rows []int64, column int, key uint64, after int64, descending bool, limit int) (_ []int64, err error) {
	if x.damage != nil {
		return nil, x.damage
	}
	parts := x.parts(column, key, after, descending)
	if descending {
		slices.Reverse(parts)
	}
	before := len(rows)
	for _, p := range parts {
		rest := limit - (len(rows) - before)
		if rest <= 0 {
			break
		}
		if rows, err = p.scan(rows, rest); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// parts returns what may hold rows behind after, in ascending order.
func (x *Index) parts(column int, key uint64, after int64, descending bool) (parts []part) {
	add := func(p part) {
		if descending && p.first < after || !descending && p.last > after {
			parts = append(parts, p)
		}
	}
	for _, s := range x.segments {
		add(part{s.first, s.last, func(rows []int64, limit int) ([]int64, error) {
			return s.scan(rows, column, key, after, descending, limit)
		}})
	}
	for _, g := range append(slices.Clone(x.frozen), x.open) {
		add(part{g.first, g.last(), func(rows []int64, limit int) ([]int64, error) {
			return g.scan(rows, column, key, after, descending, limit), nil
		}})
	}
	return parts
}

// damaged starts the rebuilding of a segment that err says is damaged.
func (x *Index) damaged(err error) error {
	if !errors.Is(err, errDamaged) || errors.Is(err, ErrRebuilding) {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.damage == nil {
		x.Logger.Error("the index is damaged and is being rebuilt from the table", "index", x.Name, "error", err)
		x.damage = ErrRebuilding
		wake(x.merges)
	}
	return x.damage
}

// ErrBacklog is answered while so many full generations cannot be written that
// there is no room for more. They are tried again and again.
var ErrBacklog = errors.New("the index cannot be written")

// ErrRebuilding is answered while a damaged segment is being rebuilt.
var ErrRebuilding = fmt.Errorf("%w: it is being rebuilt from the table", errDamaged)

var errClosed = errors.New("the index is closed")

// Close ends the background work, which is taken up again at the next Open,
// and closes the files. Whoever asks from then on gets an error.
func (x *Index) Close() error {
	x.stop()
	x.done.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for _, s := range x.segments {
		errs = append(errs, s.close())
	}
	x.segments, x.damage = nil, errClosed
	x.announce()
	return errors.Join(errs...)
}
