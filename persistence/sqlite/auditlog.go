package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// SQLite reads its log (sekali.db-wal) up to the first frame whose checksum does
// not fit and drops the rest without a word: after a loss of power that is the
// end of a transaction that was never acknowledged, but after a flipped bit it
// is everything that was acknowledged since. This file tells one from the other.
//
// Each frame carries a checksum over itself and all frames before it. So a
// frame can be judged by what is stored in the frame before it, even when that
// one is broken. In a durable store the first frame of a transaction is written
// after the sync of the transaction before it: a whole frame that follows the
// last frame of a transaction proves that this transaction was on the disk, and
// it may have been acknowledged. When such a proof lies behind the first broken
// frame, the disk has lost something.
//
// https://www.sqlite.org/fileformat.html#the_write_ahead_log

// LogReport is what auditLog found in a data directory. The zero value is that
// of an empty log.
type LogReport struct {
	Bytes  int64 // of the log file; 0 when there is none
	Frames int64 // whole frames in the file, those of earlier rounds included
	Valid  int64 // frames from the beginning that SQLite accepts
	// Commits is the number of transactions that end within Valid: what
	// SQLite will show.
	Commits int64
	// HeaderDamaged says that SQLite will accept nothing of the log. That is
	// also how a loss of power leaves a log that was just begun.
	HeaderDamaged bool
	// LostCommits is the least number of transactions behind Valid that were on
	// the disk and that SQLite will drop. It is 0 after any legal end, a loss of
	// power included, of a durable store.
	LostCommits int64
	// Mark is the high-water mark, nil when the directory has none.
	Mark *Mark

	salts     uint64 // of this round of the log
	pageBytes int64
}

// auditLog reads the log and the high-water mark of a data directory, without
// changing anything. It takes no lock: the directory must not be in use. It
// needs the time of reading the log once. The errors are those of reading files.
func auditLog(dir string) (LogReport, error) {
	r, err := auditWAL(filepath.Join(dir, logFile))
	if err != nil {
		return LogReport{}, err
	}
	r.Mark, err = readMark(filepath.Join(dir, markName))
	return r, err
}

func auditWAL(path string) (r LogReport, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return LogReport{}, nil
	}
	if err != nil {
		return LogReport{}, fmt.Errorf("audit the log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return LogReport{}, fmt.Errorf("audit the log: %w", err)
	}
	if r, err = auditFrames(bufio.NewReaderSize(f, 1<<20)); err != nil {
		return LogReport{}, fmt.Errorf("audit the log: %w", err)
	}
	r.Bytes = info.Size()
	return r, nil
}

const (
	walHeaderBytes   = 32
	frameHeaderBytes = 24
	// walMagic has its lowest bit set when checksums are of big-endian words.
	walMagic   = 0x377f0682
	walVersion = 3007000
)

// walSum is SQLite's checksum of 8-byte steps.
type walSum struct{ a, b uint32 }

func (s walSum) add(data []byte, order binary.ByteOrder) walSum {
	if order == binary.LittleEndian { // as nearly always; without calls through the interface
		for ; len(data) >= 8; data = data[8:] {
			s.a += binary.LittleEndian.Uint32(data) + s.b
			s.b += binary.LittleEndian.Uint32(data[4:]) + s.a
		}
		return s
	}
	for ; len(data) >= 8; data = data[8:] {
		s.a += order.Uint32(data) + s.b
		s.b += order.Uint32(data[4:]) + s.a
	}
	return s
}

// storedSum is the checksum in the 8 bytes b.
func storedSum(b []byte) walSum {
	return walSum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// walHeader is what the header of a log says.
type walHeader struct {
	order binary.ByteOrder
	page  int
	salts uint64
	sum   walSum
}

// parseWALHeader returns false when SQLite would not accept the header.
func parseWALHeader(b []byte) (h walHeader, ok bool) {
	be := binary.BigEndian
	magic := be.Uint32(b)
	h = walHeader{order: binary.LittleEndian, page: int(be.Uint32(b[8:])), salts: be.Uint64(b[16:]), sum: storedSum(b[24:])}
	if magic&1 == 1 {
		h.order = be
	}
	ok = magic&^1 == walMagic && be.Uint32(b[4:]) == walVersion &&
		h.page >= 512 && h.page <= 65536 && h.page&(h.page-1) == 0 &&
		walSum{}.add(b[:24], h.order) == h.sum
	return h, ok
}

// auditFrames reads a log. Its error is that of reading.
func auditFrames(log io.Reader) (r LogReport, err error) {
	var header [walHeaderBytes]byte
	switch _, err := io.ReadFull(log, header[:]); {
	case errors.Is(err, io.EOF):
		return r, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.HeaderDamaged = true
		return r, nil
	case err != nil:
		return r, err
	}
	h, ok := parseWALHeader(header[:])
	if !ok {
		r.HeaderDamaged = true
		return r, nil
	}
	r.salts, r.pageBytes = h.salts, int64(h.page)
	a := frameAudit{report: &r, header: h, before: h.sum, whole: true}
	frame := make([]byte, frameHeaderBytes+h.page)
	for {
		switch _, err := io.ReadFull(log, frame); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return r, nil // less than a frame is left, which SQLite ignores too
		case err != nil:
			return r, err
		}
		a.next(frame)
	}
}

// frameAudit goes through the frames of a log.
type frameAudit struct {
	report *LogReport
	header walHeader
	before walSum // as stored in the frame before
	whole  bool   // everything so far was accepted
	// Of the frames behind the broken one: transactions that ended, and whether
	// the frame before was the whole last one of its transaction.
	ended     int64
	endBefore bool
	page      uint32 // of the frame before
}

func (a *frameAudit) next(frame []byte) {
	be := binary.BigEndian
	a.report.Frames++
	page, end := be.Uint32(frame), be.Uint32(frame[4:]) != 0
	fits := be.Uint64(frame[8:]) == a.header.salts
	stored := storedSum(frame[16:])
	if fits {
		sum := a.before.add(frame[:8], a.header.order).add(frame[frameHeaderBytes:], a.header.order)
		fits = sum == stored && page != 0
	}
	a.before = stored
	if a.whole && fits {
		a.report.Valid++
		if end {
			a.report.Commits++
		}
		return
	}
	a.whole = false
	// A last frame that is there twice is padding, which SQLite writes up to the
	// end of a sector on disks that do not write sectors whole.
	padding := end && page == a.page
	if fits && a.endBefore && !padding {
		a.report.LostCommits = a.ended
	}
	if end && be.Uint64(frame[8:]) == a.header.salts {
		a.ended++
	}
	a.endBefore, a.page = fits && end, page
}
