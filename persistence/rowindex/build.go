package rowindex

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"time"
)

const (
	// retryTime passes before what failed in the background is tried again.
	retryTime = time.Second
	// mergeRest is how long a merge pauses, as a multiple of the time that it
	// works: it has minutes, and the cores have better things to do.
	mergeRest = 3
	// maxMergedRows bounds a segment: merging two larger ones would take long
	// and need much memory for the filter, and spare little.
	maxMergedRows = 1 << 27
)

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told already
	}
}

// buildLoop turns full generations into segments.
func (x *Index) buildLoop() {
	x.loop(x.work, "write a segment", func() (bool, error) {
		x.mu.RLock()
		waiting := len(x.frozen)
		x.mu.RUnlock()
		if waiting == 0 {
			return false, nil
		}
		return true, x.buildOldest(x.ctx)
	})
}

// mergeLoop keeps the number of segments small and mends damaged ones.
func (x *Index) mergeLoop() {
	x.loop(x.merges, "maintain the segments", func() (bool, error) {
		x.mu.RLock()
		damaged := x.damage != nil
		x.mu.RUnlock()
		if damaged {
			return true, x.repair(x.ctx)
		}
		run := x.mergeable(0, math.MaxInt)
		if run == nil {
			return false, nil
		}
		return true, x.merge(x.ctx, run)
	})
}

// loop calls f when it is woken until there is nothing more to do.
func (x *Index) loop(woken <-chan struct{}, doing string, f func() (more bool, err error)) {
	for {
		select {
		case <-woken:
		case <-x.ctx.Done():
			return
		}
		for more := true; more; {
			var err error
			if more, err = contained(f); err == nil {
				continue
			}
			if errors.Is(err, errPanicked) {
				x.panicked(doing, err)
				return
			}
			if x.ctx.Err() != nil {
				return
			}
			if errors.Is(err, errDamaged) {
				_ = x.damaged(err) // logs it; the repair is what comes next
				continue
			}
			x.Logger.Error("work on the index failed and is tried again", "index", x.Name, "work", doing, "error", err)
			select {
			case <-time.After(retryTime):
			case <-x.ctx.Done():
				return
			}
		}
	}
}

// errPanicked is what a panic in the background work becomes.
var errPanicked = errors.New("the index panicked")

// contained calls f and turns a panic of it into an errPanicked.
func contained(f func() (bool, error)) (more bool, err error) {
	defer contain(&err)
	return f()
}

func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v\n%s", errPanicked, p, debug.Stack())
	}
}

// panicked makes Ready refuse for good: one of the loops has ended, and nobody
// knows what it left half done in memory.
func (x *Index) panicked(doing string, err error) {
	x.Logger.Error("work on the index panicked and is given up", "index", x.Name, "work", doing, "error", err)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gone = err
	x.announce()
}

// buildOldest writes the segment of the oldest full generation.
func (x *Index) buildOldest(ctx context.Context) error {
	x.mu.RLock()
	g := x.frozen[0]
	x.mu.RUnlock()
	s, err := x.writeGeneration(ctx, g)
	x.mu.Lock()
	x.failure = err
	if err == nil {
		x.segments = append(x.segments, s)
		x.frozen = slices.Delete(x.frozen, 0, 1)
	}
	x.announce()
	x.mu.Unlock()
	if err == nil {
		x.step("published")
		wake(x.merges)
	}
	return err
}

// announce wakes whoever waits for the background work. The caller holds mu.
func (x *Index) announce() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// writeGeneration writes the segment of a generation, which does not change
// any more.
func (x *Index) writeGeneration(ctx context.Context, g *generation) (*segment, error) {
	p, err := x.plan(ctx, g.first, g.last())
	if err != nil {
		return nil, err
	}
	for c := range x.Columns {
		p.columns = append(p.columns, &sliceSource{g.sorted(c)})
	}
	return p.write(ctx)
}

// plan begins the plan of a segment.
func (x *Index) plan(ctx context.Context, first, last int64) (p segmentPlan, err error) {
	p = segmentPlan{dir: x.Dir, name: x.Name, first: first, last: last, step: x.step}
	for _, c := range x.Columns {
		p.hashed = append(p.hashed, c.Hashed)
	}
	p.stamp, err = x.Table.Stamp(ctx, last)
	return p, err
}

// level tells how often the rows of a segment of this size have been merged.
func (x *Index) level(rows int64) (level int) {
	for size := int64(x.GenerationRows) * int64(x.Fanout); size <= rows; size *= int64(x.Fanout) {
		level++
	}
	return level
}

// mergeable returns the run of adjacent segments to be merged next, or nil,
// among those behind a row and of a level below the given one: as many as
// Fanout of which the newest is not exceeded in level, the smallest first and
// of these the oldest. They are all of one level, but where a damaged segment
// was rebuilt as small ones in front of larger ones; those must not stay for
// ever. It leaves less than Fanout segments of each level.
func (x *Index) mergeable(behind int64, below int) (best []*segment) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for end := x.Fanout; end <= len(x.segments); end++ {
		run := x.segments[end-x.Fanout : end]
		newest := run[len(run)-1]
		level := x.level(newest.rows())
		exceeded := slices.ContainsFunc(run, func(s *segment) bool { return x.level(s.rows()) > level })
		if level < below && run[0].first > behind && !exceeded && newest.last-run[0].first < maxMergedRows {
			best, below = run, level
		}
	}
	return slices.Clone(best)
}

// merge replaces adjacent segments by one. Only the goroutine that merges and
// mends takes segments away, so the run stays where it is meanwhile.
func (x *Index) merge(ctx context.Context, run []*segment) error {
	first, last := run[0].first, run[len(run)-1].last
	p, err := x.plan(ctx, first, last)
	if err != nil {
		return err
	}
	p.pause = func(worked time.Duration) error { return x.pauseMerge(ctx, run, worked) }
	for c := range x.Columns {
		source, err := newMergeSource(run, c)
		if err != nil {
			return err
		}
		p.columns = append(p.columns, source)
	}
	x.step("merging")
	merged, err := p.write(ctx)
	if err != nil {
		return err
	}
	x.replace(run, merged)
	x.step("merged")
	return removeSegments(run)
}

// pauseMerge leaves the cores and the disk to the table for a while after a
// piece of a merge. Smaller merges of newer segments do not wait for a large
// one; the repair of a damaged segment ends it.
func (x *Index) pauseMerge(ctx context.Context, run []*segment, worked time.Duration) error {
	x.mu.RLock()
	damage := x.damage
	x.mu.RUnlock()
	if damage != nil {
		return damage
	}
	last := run[len(run)-1]
	if smaller := x.mergeable(last.last, x.level(last.rows())); smaller != nil {
		if err := x.merge(ctx, smaller); err != nil {
			return err
		}
	}
	if x.crowded() {
		return nil
	}
	select {
	case <-time.After(mergeRest * worked):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowded reports whether there are so many segments, after all of them were
// rebuilt, that merging them is what the table needs most.
func (x *Index) crowded() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.segments) > 4*x.Fanout
}

// replace puts segments of the same rows in the place of a run.
func (x *Index) replace(run []*segment, by ...*segment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := slices.Index(x.segments, run[0])
	x.segments = slices.Replace(slices.Clone(x.segments), at, at+len(run), by...)
}

// removeSegments closes and removes segments that nobody can find any more.
func removeSegments(segments []*segment) error {
	var errs []error
	for _, s := range segments {
		errs = append(errs, s.close(), removeIfThere(s.path))
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// repair reads every block of every segment and rebuilds the segments that
// are damaged.
func (x *Index) repair(ctx context.Context) error {
	x.mu.RLock()
	segments := slices.Clone(x.segments)
	x.mu.RUnlock()
	for _, s := range segments {
		err := s.verify()
		if err == nil {
			continue
		}
		if !errors.Is(err, errDamaged) {
			return err
		}
		if err := x.rebuildInPlace(ctx, s); err != nil {
			return fmt.Errorf("rebuild %s: %w", s.path, err)
		}
	}
	x.mu.Lock()
	x.damage = nil
	x.announce()
	x.mu.Unlock()
	x.Logger.Info("the index is whole again", "index", x.Name)
	return nil
}

// rebuildInPlace replaces a damaged segment by ones of a generation each.
func (x *Index) rebuildInPlace(ctx context.Context, damaged *segment) error {
	if err := removeIfThere(damaged.path); err != nil {
		return err
	}
	var rebuilt []*segment
	for first := damaged.first; first <= damaged.last; {
		last := min(first+int64(x.GenerationRows)-1, damaged.last)
		s, err := x.rebuild(ctx, first, last)
		if err != nil {
			closeAll(rebuilt) // they are found again at the next start
			return err
		}
		rebuilt = append(rebuilt, s)
		first = last + 1
	}
	x.replace([]*segment{damaged}, rebuilt...)
	return damaged.close()
}
