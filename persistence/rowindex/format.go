package rowindex

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// A segment file: a header page, then for each column its blocks of entries,
// its fences (the first entry of each block) and, where the column is hashed,
// its filter. All numbers are little-endian. DESIGN.md has it byte for byte.
const (
	magic       = "SEKALIX1"
	pageBytes   = 4096 // the header and each block
	headerBytes = pageBytes
	maxColumns  = 4

	entryBytes      = 12 // key, offset of the row
	entriesPerBlock = 340
	blockUsed       = entryBytes * entriesPerBlock // then the count, the block's number and the checksum

	columnAt    = 64 // of the first column's description in the header
	columnBytes = 64
	sumAt       = pageBytes - 8
)

// header describes a segment file.
type header struct {
	first, last int64
	stamp       uint64
	columns     []columnHeader
}

// columnHeader says where the parts of a column are. Blocks are followed by
// the fences, and those by the filter.
type columnHeader struct {
	entries  uint64
	blocksAt uint64
	fencesAt uint64
	filterAt uint64
	end      uint64 // of the filter
	tailSum  uint64 // xxh64 of the fences and the filter
}

func (c *columnHeader) blocks() int {
	return int((c.entries + entriesPerBlock - 1) / entriesPerBlock)
}

func (h *header) encode() []byte {
	b := make([]byte, headerBytes)
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint64(b[8:], uint64(len(h.columns)))
	le.PutUint64(b[16:], uint64(h.first))
	le.PutUint64(b[24:], uint64(h.last))
	le.PutUint64(b[32:], h.stamp)
	for i, c := range h.columns {
		at := b[columnAt+i*columnBytes:]
		for j, v := range []uint64{c.entries, c.blocksAt, c.fencesAt, c.filterAt, c.end, c.tailSum} {
			le.PutUint64(at[8*j:], v)
		}
	}
	le.PutUint64(b[sumAt:], xxhash.Sum64(b[:sumAt]))
	return b
}

// errDamaged says that a segment is not what was written.
var errDamaged = errors.New("damaged segment")

// decodeHeader checks everything that a reader relies on, for a file of size
// bytes.
func decodeHeader(b []byte, size int64) (*header, error) {
	le := binary.LittleEndian
	if string(b[:8]) != magic || le.Uint64(b[sumAt:]) != xxhash.Sum64(b[:sumAt]) {
		return nil, fmt.Errorf("%w: bad header", errDamaged)
	}
	h := &header{first: int64(le.Uint64(b[16:])), last: int64(le.Uint64(b[24:])), stamp: le.Uint64(b[32:])}
	n := le.Uint64(b[8:])
	if n == 0 || n > maxColumns || h.first < 1 || h.last < h.first || h.last-h.first > 1<<32-1 {
		return nil, fmt.Errorf("%w: impossible header", errDamaged)
	}
	end := uint64(headerBytes)
	for i := range n {
		at := b[columnAt+i*columnBytes:]
		c := columnHeader{le.Uint64(at), le.Uint64(at[8:]), le.Uint64(at[16:]), le.Uint64(at[24:]), le.Uint64(at[32:]), le.Uint64(at[40:])}
		if c.blocksAt != end || c.entries > uint64(h.last-h.first+1) ||
			c.fencesAt != end+uint64(c.blocks())*pageBytes || c.filterAt != c.fencesAt+uint64(c.blocks())*entryBytes ||
			c.end < c.filterAt || c.end > uint64(size) || (c.end-c.filterAt)%filterBlockBytes != 0 {
			return nil, fmt.Errorf("%w: impossible column %d", errDamaged, i)
		}
		end = c.end
		h.columns = append(h.columns, c)
	}
	if uint64(size) != end {
		return nil, fmt.Errorf("%w: %d bytes, should be %d", errDamaged, size, end)
	}
	return h, nil
}

func putEntry(b []byte, e entry) {
	binary.LittleEndian.PutUint64(b, e.key)
	binary.LittleEndian.PutUint32(b[8:], e.offset)
}

func entryAt(b []byte, i int) entry {
	b = b[i*entryBytes:]
	return entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
}

// block is a page of entries.
type block [pageBytes]byte

func (b *block) count() int { return int(binary.LittleEndian.Uint32(b[blockUsed:])) }

// salt goes into the checksums of a column's blocks, so that a block of
// another column or another segment does not pass for one of this.
func (h *header) salt(column int) uint64 {
	var b [32]byte
	for i, v := range [4]uint64{uint64(h.first), uint64(h.last), h.stamp, uint64(column)} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return xxhash.Sum64(b[:])
}

func (b *block) sum(salt uint64) uint64 { return xxhash.Sum64(b[:sumAt]) ^ salt }

func (b *block) seal(count, number int, salt uint64) {
	clear(b[count*entryBytes : blockUsed])
	binary.LittleEndian.PutUint32(b[blockUsed:], uint32(count))
	binary.LittleEndian.PutUint32(b[blockUsed+4:], uint32(number))
	binary.LittleEndian.PutUint64(b[sumAt:], b.sum(salt))
}

func (b *block) check(number int, salt uint64) error {
	if binary.LittleEndian.Uint64(b[sumAt:]) != b.sum(salt) ||
		binary.LittleEndian.Uint32(b[blockUsed+4:]) != uint32(number) || b.count() > entriesPerBlock {
		return fmt.Errorf("%w: block %d", errDamaged, number)
	}
	return nil
}
