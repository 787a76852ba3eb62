package rowindex

import (
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// damageRig is an index of two segments of a few blocks each, whose files are
// damaged in turn.
type damageRig struct {
	*rig
	files map[string][]byte // as they should be
	names []string
}

const damageRows = 900 // of a segment

func newDamageRig(t *testing.T, seed uint64) *damageRig {
	t.Helper()
	r := newRig(t, rand.New(rand.NewPCG(seed, 0)))
	r.close()
	r.options.GenerationRows, r.options.Fanout = damageRows, 8
	r.table.append(0, r.rng.Uint64(), 1) // no hole at the ends of the segments
	for r.table.last() < 2*damageRows+10 {
		r.table.append(0, keyMaker{r.rng}.hash(), keyMaker{r.rng}.topic())
	}
	r.open()
	idle(t, r.index)
	r.close()
	d := &damageRig{rig: r, files: map[string][]byte{}}
	for _, file := range segmentFiles(t, r.options.Dir) {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		d.files[filepath.Base(file)] = content
	}
	d.names = slices.Sorted(maps.Keys(d.files))
	require.Len(t, d.names, 2)
	return d
}

// restored returns copies of the files as they should be.
func (d *damageRig) restored() map[string][]byte {
	files := map[string][]byte{}
	for name, content := range d.files {
		files[name] = slices.Clone(content)
	}
	return files
}

// put makes the files what is in the folder.
func (d *damageRig) put(files map[string][]byte) {
	d.tb.Helper()
	for _, file := range segmentFiles(d.tb, d.options.Dir) {
		require.NoError(d.tb, os.Remove(file))
	}
	for name, content := range files {
		require.NoError(d.tb, os.WriteFile(filepath.Join(d.options.Dir, name), content, 0o600))
	}
}

// requireMended opens the index, and requires right answers, and afterwards the
// files as they should be.
func (d *damageRig) requireMended(what string) {
	d.tb.Helper()
	d.open()
	d.checkAll()
	idle(d.tb, d.index)
	d.close()
	require.Len(d.tb, segmentFiles(d.tb, d.options.Dir), len(d.files), what)
	for name, content := range d.files {
		now, err := os.ReadFile(filepath.Join(d.options.Dir, name))
		require.NoError(d.tb, err, what)
		require.Equal(d.tb, xxhash.Sum64(content), xxhash.Sum64(now), "%s: %s is not what it was", what, name)
	}
}

func TestIndexNoticesAndMendsEveryFlippedBit(t *testing.T) {
	d := newDamageRig(t, seed(t))
	content := d.files[d.names[0]]
	h, err := decodeHeader(content, int64(len(content)))
	require.NoError(t, err)
	inBlock := func(from, to uint64) [2]uint64 { // of the second block of the scanned column
		at := h.columns[scanned].blocksAt + pageBytes
		return [2]uint64{at + from, at + to}
	}
	for _, c := range []struct {
		name    string
		where   [2]uint64
		samples int
	}{
		{"magic and number of columns", [2]uint64{0, 32}, 4},
		{"rows and stamp", [2]uint64{16, 80}, 8},
		{"columns", [2]uint64{columnAt, columnAt + 2*columnBytes}, 20},
		{"unused bytes of the header", [2]uint64{1024, sumAt}, 4},
		{"checksum of the header", [2]uint64{sumAt, pageBytes}, 4},
		{"blocks of the hashed column", [2]uint64{h.columns[hashed].blocksAt, h.columns[hashed].fencesAt}, 20},
		{"fences of the hashed column", [2]uint64{h.columns[hashed].fencesAt, h.columns[hashed].filterAt}, 10},
		{"filter", [2]uint64{h.columns[hashed].filterAt, h.columns[hashed].end}, 20},
		{"entries of a block", inBlock(0, blockUsed), 10},
		{"count of a block", inBlock(blockUsed, blockUsed+4), 8},
		{"number of a block", inBlock(blockUsed+4, blockUsed+8), 8},
		{"checksum of a block", inBlock(sumAt, pageBytes), 4},
		{"fences of the scanned column", [2]uint64{h.columns[scanned].fencesAt, h.columns[scanned].end}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.tb = t
			for range c.samples {
				files := d.restored()
				at, bit := c.where[0]+d.rng.Uint64N(c.where[1]-c.where[0]), d.rng.IntN(8)
				files[d.names[0]][at] ^= 1 << bit
				d.put(files)
				d.requireMended(c.name)
			}
		})
	}
	d.tb = t
}

func TestIndexNoticesAndMendsFilesThatAreNotItsOwn(t *testing.T) {
	d := newDamageRig(t, seed(t))
	first, second := d.names[0], d.names[1]
	h, err := decodeHeader(d.files[first], int64(len(d.files[first])))
	require.NoError(t, err)
	page := func(content []byte, column, block int) []byte {
		at := int(h.columns[column].blocksAt) + block*pageBytes
		return content[at : at+pageBytes]
	}
	other := newDamageRig(t, 1) // another table with the same number of rows
	for _, c := range []struct {
		name  string
		spoil func(files map[string][]byte)
	}{
		{"all files are gone", func(files map[string][]byte) { clear(files) }},
		{"the first file is gone", func(files map[string][]byte) { delete(files, first) }},
		{"the last file is gone", func(files map[string][]byte) { delete(files, second) }},
		{"files are empty", func(files map[string][]byte) { files[first], files[second] = nil, nil }},
		{"a file is shorter than its header", func(files map[string][]byte) { files[first] = files[first][:100] }},
		{"a file ends with its header", func(files map[string][]byte) { files[first] = files[first][:headerBytes] }},
		{"a file lacks its last byte", func(files map[string][]byte) { files[first] = files[first][:len(files[first])-1] }},
		{"a file has a byte too many", func(files map[string][]byte) { files[first] = append(files[first], 0) }},
		{"files have changed names", func(files map[string][]byte) { files[first], files[second] = files[second], files[first] }},
		{"a file has the content of another", func(files map[string][]byte) { files[first] = files[second] }},
		{"a file is named for rows that it does not have", func(files map[string][]byte) {
			files[segmentFileName("t", 1, 2*damageRows)] = files[first]
		}},
		{"the files are those of another table", func(files map[string][]byte) { maps.Copy(files, other.files) }},
		{"blocks of a column are exchanged", func(files map[string][]byte) {
			swap(page(files[first], hashed, 0), page(files[first], hashed, 1))
		}},
		{"a block is that of the other column", func(files map[string][]byte) {
			swap(page(files[first], hashed, 1), page(files[first], scanned, 1))
		}},
		{"a block is that of the other segment", func(files map[string][]byte) {
			swap(page(files[first], hashed, 1), page(files[second], hashed, 1))
		}},
		{"a block is that of another table", func(files map[string][]byte) {
			copy(page(files[first], hashed, 1), page(other.files[first], hashed, 1))
		}},
		{"files were being written", func(files map[string][]byte) {
			files[first+temporarySuffix], files["t-000000000001-000000000007.seg.tmp"] = files[first], nil
		}},
		{"a merge has left a part behind", func(files map[string][]byte) {
			files[segmentFileName("t", 100, 200)] = d.part(t, 100, 200)
		}},
		{"a merge has left all parts behind, and its result is damaged", func(files map[string][]byte) {
			merged := d.part(t, 1, 2*damageRows)
			merged[len(merged)-1]++
			files[segmentFileName("t", 1, 2*damageRows)] = merged
		}},
		{"a block of a merged segment is damaged", func(files map[string][]byte) {
			clear(files)
			merged := d.part(t, 1, 2*damageRows)
			merged[headerBytes+pageBytes]++
			files[segmentFileName("t", 1, 2*damageRows)] = merged
		}},
		{"segments overlap", func(files map[string][]byte) {
			files[segmentFileName("t", damageRows-10, damageRows+10)] = d.part(t, damageRows-10, damageRows+10)
		}},
		{"a segment has rows that the table has not", func(files map[string][]byte) {
			last := d.table.last()
			files[segmentFileName("t", 2*damageRows+1, last+1)] = d.part(t, 2*damageRows+1, last)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.tb = t
			files := d.restored()
			c.spoil(files)
			d.put(files)
			d.requireMended(c.name)
		})
	}
	d.tb = t
}

func swap(a, b []byte) {
	c := slices.Clone(a)
	copy(a, b)
	copy(b, c)
}

// part returns the segment file of some rows.
func (d *damageRig) part(t *testing.T, first, last int64) []byte {
	t.Helper()
	x := &Index{Options: d.options.at(t.TempDir()).withDefaults()}
	s, err := x.rebuild(t.Context(), first, last)
	require.NoError(t, err)
	require.NoError(t, s.close())
	content, err := os.ReadFile(s.path)
	require.NoError(t, err)
	return content
}

// TestChecksumsAreWhatTellsDamage spoils a segment together with its checksums:
// only then is an answer wrong, and the comparison of these tests sees it.
func TestChecksumsAreWhatTellsDamage(t *testing.T) {
	d := newDamageRig(t, 2)
	name := d.names[0]
	sound, err := decodeHeader(d.files[name], int64(len(d.files[name])))
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		verify bool // whether the repair would notice, had it a reason to look
		spoil  func(content []byte, h *header)
	}{
		{"a row of a block", true, func(content []byte, h *header) {
			b := (*block)(content[h.columns[hashed].blocksAt:])
			b[entryBytes-entryBytes/3] ^= 1
			b.seal(b.count(), 0, h.salt(hashed))
		}},
		{"a filter without its bits", false, func(content []byte, h *header) {
			column := &h.columns[hashed]
			clear(content[column.filterAt:column.end])
			column.tailSum = xxhash.Sum64(content[column.fencesAt:column.end])
			copy(content, h.encode())
		}},
		{"a fence that is too great", true, func(content []byte, h *header) {
			column := &h.columns[hashed]
			binary.LittleEndian.PutUint64(content[column.fencesAt+entryBytes:], ^uint64(0))
			column.tailSum = xxhash.Sum64(content[column.fencesAt:column.end])
			copy(content, h.encode())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.tb = t
			h := *sound
			h.columns = slices.Clone(h.columns)
			files := d.restored()
			c.spoil(files[name], &h)
			d.put(files)
			d.open()
			wrong := compare(d.index, d.table, d.table.last(), d.rng)
			require.NotNil(t, wrong)
			require.NoError(t, wrong.err, "it is a wrong answer, not an error")
			require.Equal(t, c.verify, errors.Is(d.index.segments[0].verify(), errDamaged))
			d.close()
		})
	}
	d.tb = t
}
