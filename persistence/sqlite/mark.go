package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/cespare/xxhash/v2"
)

// The high-water mark says, outside the log, how far the store had come: a log
// whose end was cut off, or that lost everything behind a rotten frame, is
// whole to whoever looks at it alone.
//
// It is written after each commit has returned, never before, so that it is
// never ahead of what the disk has. It is not synced with each commit: the end
// of the process does not take it, and a loss of power may leave an older one,
// which finds less and never too much. Two slots are written in turn, each in
// a page of its own, so that a torn one leaves the other.

const (
	// markName is the file of the mark in the data directory.
	markName = "sekali.mark"

	slotMagic  = "SEKALIM1"
	slotBytes  = 80
	slotStride = 4096
	markBytes  = 2 * slotStride

	flagClean   = 1 << 0
	flagRelaxed = 1 << 1
)

// Mark is how far a store had come when it last noted it.
type Mark struct {
	Batch   int64     // number of the last transaction with events
	Seq     int64     // of the last event
	Repeats int64     // duplicates counted, over all topics
	At      time.Time // of the last transaction; zero when there was none since the start
	Clean   bool      // the store was closed and the log was empty
	// Relaxed says that the log was written without a sync after each commit;
	// Batch, Seq and Repeats are then those of the last sync.
	Relaxed bool

	database uint64 // which database it belongs to
	turn     uint64 // of its slot
}

// appendSlot appends the slot to b.
func (m *Mark) appendSlot(b []byte) []byte {
	le := binary.LittleEndian
	begin := len(b)
	b = append(b, slotMagic...)
	for _, n := range [...]uint64{m.database, m.turn, uint64(m.Batch), uint64(m.Seq), uint64(m.Repeats), uint64(nanos(m.At)), m.flags(), 0} {
		b = le.AppendUint64(b, n)
	}
	return le.AppendUint64(b, xxhash.Sum64(b[begin:]))
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func (m *Mark) flags() (flags uint64) {
	if m.Clean {
		flags |= flagClean
	}
	if m.Relaxed {
		flags |= flagRelaxed
	}
	return flags
}

// parseSlot returns nil when b does not hold a whole slot.
func parseSlot(b []byte) *Mark {
	le := binary.LittleEndian
	const sumAt = slotBytes - 8
	if len(b) < slotBytes || string(b[:8]) != slotMagic || xxhash.Sum64(b[:sumAt]) != le.Uint64(b[sumAt:]) {
		return nil
	}
	number := func(i int) uint64 { return le.Uint64(b[8+8*i:]) }
	m := &Mark{
		database: number(0), turn: number(1), Batch: int64(number(2)), Seq: int64(number(3)), Repeats: int64(number(4)),
		Clean: number(6)&flagClean != 0, Relaxed: number(6)&flagRelaxed != 0,
	}
	if at := int64(number(5)); at != 0 {
		m.At = fromNanos(at)
	}
	return m
}

// readMark returns the newer whole slot of a mark file, or nil when there is
// no file or none in it.
func readMark(path string) (_ *Mark, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the high-water mark: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content := make([]byte, markBytes)
	n, err := io.ReadFull(f, content)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read the high-water mark: %w", err)
	}
	var newest *Mark
	for at := 0; at < n; at += slotStride {
		if m := parseSlot(content[at:n]); m != nil && (newest == nil || m.turn > newest.turn) {
			newest = m
		}
	}
	return newest, nil
}

// markFile writes the mark of an open store. Its methods are called by who
// has the turn; sync may be called by anyone.
type markFile struct {
	file    diskFile
	last    Mark
	scratch []byte
}

// createMark opens the mark file of a directory, creating it when missing, and
// notes the first mark in both slots; they are durable when it returns.
func createMark(d disk, path string, first Mark) (_ *markFile, err error) {
	f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the high-water mark: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open the high-water mark: %w", err)
	}
	if info.Size() != markBytes { // with zeros, so that later writes need no space
		if _, err := f.WriteAt(make([]byte, markBytes), 0); err != nil {
			return nil, fmt.Errorf("write the high-water mark: %w", err)
		}
		if err := f.Truncate(markBytes); err != nil {
			return nil, fmt.Errorf("write the high-water mark: %w", err)
		}
	}
	m := &markFile{file: f}
	for range 2 { // the older slot first: the newer one is replaced when the other is durable
		if err := errors.Join(m.write(first), m.sync()); err != nil {
			return nil, err
		}
		first.turn++
	}
	return m, nil
}

// note writes how far the store has come, in the turn behind the last one.
func (m *markFile) note(next Mark) error {
	next.database, next.turn, next.Relaxed = m.last.database, m.last.turn+1, m.last.Relaxed
	return m.write(next)
}

func (m *markFile) write(next Mark) error {
	m.scratch = next.appendSlot(m.scratch[:0])
	if _, err := m.file.WriteAt(m.scratch, int64(next.turn%2)*slotStride); err != nil {
		return fmt.Errorf("write the high-water mark: %w", err)
	}
	m.last = next
	return nil
}

func (m *markFile) sync() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("sync the high-water mark: %w", err)
	}
	return nil
}
