package rowindex

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// soundHeader returns a header of two columns, and the size of its file.
func soundHeader() (*header, int64) {
	h := &header{first: 1001, last: 2000, stamp: 7}
	at := uint64(headerBytes)
	for _, filter := range []uint64{64, 0} {
		c := columnHeader{entries: 1000, blocksAt: at}
		c.fencesAt = at + 3*pageBytes
		c.filterAt = c.fencesAt + 3*entryBytes
		c.end = c.filterAt + filter
		at = c.end
		h.columns = append(h.columns, c)
	}
	return h, int64(at)
}

func TestHeaderComesBackAsItWas(t *testing.T) {
	h, size := soundHeader()
	back, err := decodeHeader(h.encode(), size)
	require.NoError(t, err)
	require.Equal(t, h, back)
}

func TestDecodeHeaderRefusesWhatContradictsItself(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(h *header, size *int64)
	}{
		{"no columns", func(h *header, size *int64) { h.columns, *size = nil, headerBytes }},
		{"too many columns", func(h *header, size *int64) {
			for len(h.columns) <= maxColumns {
				h.columns = append(h.columns, columnHeader{blocksAt: uint64(*size), fencesAt: uint64(*size), filterAt: uint64(*size), end: uint64(*size)})
			}
		}},
		{"row 0", func(h *header, _ *int64) { h.first = 0 }},
		{"a negative row", func(h *header, _ *int64) { h.first = -1 << 63 }},
		{"rows backwards", func(h *header, _ *int64) { h.last = h.first - 1 }},
		{"more rows than offsets can tell", func(h *header, _ *int64) { h.last = h.first + 1<<32 }},
		{"more entries than rows", func(h *header, _ *int64) { h.last = h.first + 900 }},
		{"fewer entries than blocks", func(h *header, _ *int64) { h.columns[0].entries = 10 }},
		{"a gap before a column", func(h *header, _ *int64) { h.columns[0].blocksAt++ }},
		{"fences elsewhere", func(h *header, _ *int64) { h.columns[1].fencesAt-- }},
		{"a filter elsewhere", func(h *header, _ *int64) { h.columns[0].filterAt += entryBytes }},
		{"half a block of a filter", func(h *header, size *int64) { h.columns[1].end, *size = h.columns[1].end+16, *size+16 }},
		{"an end before the filter", func(h *header, size *int64) { h.columns[1].end, *size = h.columns[1].end-32, *size-32 }},
		{"a longer file", func(_ *header, size *int64) { *size++ }},
		{"a shorter file", func(_ *header, size *int64) { *size-- }},
		{"sums that wrap around", func(h *header, size *int64) {
			first, second := &h.columns[0], &h.columns[1]
			second.filterAt = 40
			second.fencesAt = second.filterAt - 3*entryBytes
			second.blocksAt = second.fencesAt
			second.blocksAt -= 3 * pageBytes // far behind the file
			first.end = second.blocksAt
			second.end = second.filterAt + 1000*filterBlockBytes
			*size = int64(second.end)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, size := soundHeader()
			c.spoil(h, &size)
			_, err := decodeHeader(h.encode(), size)
			require.ErrorIs(t, err, errDamaged)
		})
	}
}
