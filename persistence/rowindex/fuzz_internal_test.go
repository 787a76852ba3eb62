package rowindex

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// fuzzSegment returns a sound segment file of some blocks.
func fuzzSegment(tb testing.TB) []byte {
	tb.Helper()
	r := &rig{rng: rand.New(rand.NewPCG(1, 2)), table: newTable(1)}
	for range 400 {
		r.table.append(0, keyMaker{r.rng}.hash(), keyMaker{r.rng}.topic())
	}
	o := Options{Dir: tb.TempDir(), Name: "t", Columns: []Column{{Hashed: true}, {}}, Table: r.table}
	x := &Index{Options: o.withDefaults()}
	s, err := x.rebuild(tb.Context(), 1, r.table.last())
	require.NoError(tb, err)
	require.NoError(tb, s.close())
	content, err := os.ReadFile(s.path)
	require.NoError(tb, err)
	return content
}

// FuzzOpenSegment opens files whose bytes at one place are others. With mend,
// the checksums of the header and behind the blocks are right nevertheless: what is
// accepted must still not contradict itself, and no file may end in a panic.
func FuzzOpenSegment(f *testing.F) {
	sound := fuzzSegment(f)
	f.Add(uint32(0), []byte("SEKALIX2"), uint32(0), false)
	f.Add(uint32(8), []byte{200}, uint32(0), true)                                           // columns
	f.Add(uint32(16), []byte{255, 255, 255, 255, 255, 255, 255, 255}, uint32(0), true)       // first row
	f.Add(uint32(columnAt), []byte{1}, uint32(0), true)                                      // entries
	f.Add(uint32(columnAt+32), []byte{0, 0, 0, 0, 0, 0, 0, 255}, uint32(0), true)            // end
	f.Add(uint32(pageBytes+blockUsed), []byte{255, 255, 255, 255}, uint32(0), true)          // entries of a block
	f.Add(uint32(3*pageBytes), make([]byte, 12), uint32(0), true)                            // a fence
	f.Add(uint32(len(sound)-4), []byte{1, 2, 3, 4, 5, 6, 7, 8}, uint32(0), false)            // longer
	f.Add(uint32(0), []byte{}, uint32(100), false)                                           // shorter
	f.Add(uint32(columnAt), []byte{0, 0, 0, 0, 0, 0, 0, 0}, uint32(len(sound)-12<<10), true) // nothing in it
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, bytes []byte, cut uint32, mend bool) {
		content := append(append([]byte{}, sound...), make([]byte, 64)...)
		n := copy(content[int(at)%len(sound):], bytes)
		content = content[:max(len(sound), int(at)%len(sound)+n)]
		content = content[:len(content)-int(cut)%(len(content)+1)]
		if mend {
			mendChecksums(content)
		}
		path := filepath.Join(dir, "segment")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		s, err := openSegment(path)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		requireConsistent(t, s, int64(len(content)))
		require.NoError(t, s.close())
	})
}

// mendChecksums makes the checksums of the header right, and those of the parts
// that it describes.
func mendChecksums(content []byte) {
	if len(content) < headerBytes {
		return
	}
	seal := func() {
		binary.LittleEndian.PutUint64(content[sumAt:], xxhash.Sum64(content[:sumAt]))
	}
	seal()
	h, err := decodeHeader(content, int64(len(content)))
	if err != nil {
		return
	}
	for i := range h.columns {
		c := &h.columns[i]
		binary.LittleEndian.PutUint64(content[columnAt+i*columnBytes+40:], xxhash.Sum64(content[c.fencesAt:c.end]))
	}
	seal()
}

// requireConsistent reads all of a segment that was accepted.
func requireConsistent(t *testing.T, s *segment, size int64) {
	t.Helper()
	require.LessOrEqual(t, s.first, s.last)
	require.Positive(t, s.first)
	for c := range s.search {
		column := &s.columns[c]
		require.LessOrEqual(t, column.end, uint64(size))
		require.LessOrEqual(t, column.entries, uint64(s.rows()))
		require.Equal(t, column.blocks(), s.search[c].blocks())
		_ = s.verify() // finds what is wrong with blocks
		for _, key := range []uint64{0, 1, 1 << 63, ^uint64(0)} {
			if len(s.search[c].filter) > 0 {
				_, err := s.rowsOf(nil, c, key)
				requireOnlyDamage(t, err)
			}
			for _, descending := range []bool{false, true} {
				rows, err := s.scan(nil, c, key, s.first+s.rows()/2, descending, 10)
				requireOnlyDamage(t, err)
				require.LessOrEqual(t, len(rows), 10)
			}
		}
	}
}

func requireOnlyDamage(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, errDamaged)
	}
}
