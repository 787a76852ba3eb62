package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"

	"sekali"
	"sekali/persistence/crashvfs"
)

// life is a store at work on a recording disk.
type life struct {
	ctx     context.Context
	r       *rand.Rand
	dir     string
	disk    *crashvfs.Disk
	options Options
	store   *Store
	history *history
	base    int // the step at which the life began
	start   crashvfs.Image
	indexes []crashvfs.Image // what the index folder held now and then
	pinned  *sql.Tx          // a snapshot that somebody holds, nil: none

	before func(crashvfs.Op) // called at each change of the database file
	faults crashvfs.Hook     // of the life; nil: none
}

// begin opens the store in dir, whose files are durable and hold the last step of
// the history.
func (l *life) begin(ctx context.Context, dir string, o Options) (err error) {
	l.ctx, l.dir, l.options, l.base = ctx, dir, o.on(l.disk), l.history.last()
	if l.start, err = crashvfs.ReadImage(dir); err != nil {
		return err
	}
	l.indexes = []crashvfs.Image{indexImage(dir)}
	l.disk.SetHook(l.hook)
	l.store, err = Open(ctx, dir, l.options)
	return err
}

func (l *life) hook(o crashvfs.Op) *crashvfs.Fault {
	// Only the goroutine that lives writes to the database and syncs it.
	if o.File == databaseFile && (o.Kind == crashvfs.Write || o.Kind == crashvfs.Sync) && l.before != nil {
		l.before(o)
	}
	if l.faults == nil {
		return nil
	}
	return l.faults(o)
}

// run does so many things: mostly batches, now and then what the checkpointer
// does, with batches beside it, and a restart. It ends at the first error.
func (l *life) run(things int) error {
	for range things {
		if err := l.doSomething(); err != nil {
			return err
		}
		if l.r.IntN(6) == 0 {
			l.indexes = append(l.indexes, indexImage(l.dir))
		}
	}
	return nil
}

func (l *life) doSomething() error {
	switch l.r.IntN(24) {
	case 0:
		_, err := l.store.moveAside()
		return err
	case 1:
		return l.amid(crashvfs.Op{Kind: crashvfs.Write}, func() error { _, err := l.store.moveAside(); return err })
	case 2:
		return l.store.renewWAL()
	case 3:
		return l.amid(crashvfs.Op{Kind: crashvfs.Sync, Direct: true}, l.store.renewWAL)
	case 4:
		if err := l.unpin(); err != nil { // lest it waits
			return err
		}
		return l.store.inTurn(func() error { _, err := l.store.checkpoint(truncate); return err })
	case 5:
		return l.restart()
	case 6:
		return l.pin()
	default:
		return l.append()
	}
}

// append stores a batch and notes when it was acknowledged.
func (l *life) append() error { return l.send(l.history.draw(l.r)) }

// send hands b to the store and the history; on an error the history ends with it.
func (l *life) send(b sekali.Batch) error {
	want := l.history.add(b)
	got, err := appendPatiently(l.ctx, l.store, b)
	if err != nil {
		return err
	}
	l.disk.Mark(l.history.last())
	if !reflect.DeepEqual(append([]sekali.Decision{}, got.Decisions...), want) {
		return fmt.Errorf("the store decided %+v, not %+v", got.Decisions, want)
	}
	return nil
}

// amid does f and stores a batch at one of its first operations on the database
// like at.
func (l *life) amid(at crashvfs.Op, f func() error) (err error) {
	left := l.r.IntN(4)
	l.before = func(o crashvfs.Op) {
		if o.Kind != at.Kind || o.Direct != at.Direct || o.File != databaseFile {
			return
		}
		if left--; left == -1 {
			err = l.append()
		}
	}
	defer func() { l.before = nil }()
	return errors.Join(f(), err)
}

// pin begins a read transaction, which keeps checkpoints from moving what comes
// behind it, or ends it.
func (l *life) pin() (err error) {
	if l.pinned != nil {
		return l.unpin()
	}
	if l.pinned, err = l.store.indexes.tables.BeginTx(l.ctx, nil); err != nil {
		return err
	}
	var n int64
	return l.pinned.QueryRowContext(l.ctx, "select count(*) from topics").Scan(&n)
}

func (l *life) unpin() error {
	if l.pinned == nil {
		return nil
	}
	err := l.pinned.Rollback()
	l.pinned = nil
	return err
}

// close ends the life without a loss of power.
func (l *life) close() error { return errors.Join(l.unpin(), l.store.Close()) }

// restart closes the store and opens it again.
func (l *life) restart() error {
	if err := l.close(); err != nil {
		return err
	}
	store, err := Open(l.ctx, l.dir, l.options)
	if err != nil {
		return err
	}
	l.store = store
	return nil
}
