package rowindex

import (
	"cmp"
	"runtime"
	"slices"
)

// generation holds the keys of consecutive rows in memory. Readers may look
// things up while the one writer is not adding.
type generation struct {
	first   int64      // number of the first row
	columns [][]uint64 // the keys of each column; row first+i has columns[c][i]
	holes   map[uint32]bool
	tables  []hashTable // one per column; empty where the column is scanned
}

// hashTable maps keys to the offsets of their rows: open addressing, linear
// probing, at most half full. A slot holds an offset plus one, or 0.
type hashTable []uint32

const minSlots = 1024

func newGeneration(first int64, columns []Column) *generation {
	g := &generation{first: first, columns: make([][]uint64, len(columns)), tables: make([]hashTable, len(columns))}
	for c := range columns {
		if columns[c].Hashed {
			g.tables[c] = make(hashTable, minSlots)
		}
	}
	return g
}

func (g *generation) rows() int { return len(g.columns[0]) }

func (g *generation) last() int64 { return g.first + int64(g.rows()) - 1 }

// add takes in the row behind the last one.
func (g *generation) add(keys []uint64) {
	offset := g.rows()
	for c, key := range keys {
		g.columns[c] = append(g.columns[c], key)
		if len(g.tables[c]) == 0 {
			continue
		}
		if 2*(offset+1) > len(g.tables[c]) {
			g.grow(c)
		}
		g.tables[c].put(key, uint32(offset))
	}
}

// holesUpTo notes that the table has no rows behind the last one and before
// row.
func (g *generation) holesUpTo(row int64) {
	for g.last()+1 < row {
		if g.holes == nil {
			g.holes = make(map[uint32]bool)
		}
		g.holes[uint32(g.rows())] = true
		for c := range g.columns {
			g.columns[c] = append(g.columns[c], 0)
		}
	}
}

func (g *generation) grow(c int) {
	larger := make(hashTable, 2*len(g.tables[c]))
	for _, slot := range g.tables[c] {
		if slot != 0 {
			larger.put(g.columns[c][slot-1], slot-1)
		}
	}
	g.tables[c] = larger
}

func (t hashTable) put(key uint64, offset uint32) {
	mask := uint64(len(t) - 1)
	i := key & mask
	for t[i] != 0 {
		i = (i + 1) & mask
	}
	t[i] = offset + 1
}

// findAll calls found for each row that has keys[i] in a hashed column.
func (g *generation) findAll(column int, keys []uint64, found func(i int, row int64)) {
	t, own := g.tables[column], g.columns[column]
	mask := uint64(len(t) - 1)
	for k, key := range keys {
		for i := key & mask; t[i] != 0; i = (i + 1) & mask {
			if offset := t[i] - 1; own[offset] == key {
				found(k, g.first+int64(offset))
			}
		}
	}
}

// scan appends up to limit rows behind after, in the direction of the order,
// that have the key in a column that is not hashed. Key 0 is nobody's.
func (g *generation) scan(rows []int64, column int, key uint64, after int64, descending bool, limit int) []int64 {
	keys := g.columns[column]
	if descending {
		for i := int(min(after-g.first, int64(len(keys)))) - 1; i >= 0 && limit > 0; i-- {
			if keys[i] == key {
				rows, limit = append(rows, g.first+int64(i)), limit-1
			}
		}
		return rows
	}
	for i := int(max(after, g.first-1) - g.first + 1); i < len(keys) && limit > 0; i++ {
		if keys[i] == key {
			rows, limit = append(rows, g.first+int64(i)), limit-1
		}
	}
	return rows
}

// reserve makes room for some rows at once in an empty generation, lest the
// rows that make a table grow wait for it.
func (g *generation) reserve(rows int) {
	for c := range g.columns {
		g.columns[c] = slices.Grow(g.columns[c], rows)
		slots := len(g.tables[c])
		for slots > 0 && slots < 2*rows {
			slots *= 2
		}
		g.tables[c] = make(hashTable, slots)
	}
}

// sorted returns the entries of a column by key, then row.
func (g *generation) sorted(column int) []entry {
	entries := make([]entry, 0, g.rows())
	for i, key := range g.columns[column] {
		if !g.holes[uint32(i)] {
			entries = append(entries, entry{key, uint32(i)})
		}
	}
	return sortPolitely(entries)
}

// politeEntries is how many entries the background work handles, in some tens
// of microseconds, before it lets others run: the scheduler by itself would
// give it ten milliseconds at a time.
const politeEntries = 2048

// sortPolitely sorts by merging, and returns the sorted entries.
func sortPolitely(entries []entry) []entry {
	for chunk := range slices.Chunk(entries, politeEntries) {
		slices.SortFunc(chunk, entry.compare)
		runtime.Gosched()
	}
	other := make([]entry, len(entries))
	for run := politeEntries; run < len(entries); run *= 2 {
		for first := 0; first < len(entries); first += 2 * run {
			middle, end := min(first+run, len(entries)), min(first+2*run, len(entries))
			mergeRuns(other[first:end], entries[first:middle], entries[middle:end])
		}
		entries, other = other, entries
	}
	return entries
}

// mergeRuns merges two sorted runs into a slice of their length.
func mergeRuns(into, a, b []entry) {
	for i := range into {
		if i%politeEntries == 0 {
			runtime.Gosched()
		}
		if len(b) == 0 || len(a) > 0 && a[0].compare(b[0]) <= 0 {
			into[i], a = a[0], a[1:]
		} else {
			into[i], b = b[0], b[1:]
		}
	}
}

// entry says that the row first+offset of a generation or a segment has a key.
type entry struct {
	key    uint64
	offset uint32
}

func (e entry) compare(f entry) int {
	if e.key != f.key {
		return cmp.Compare(e.key, f.key)
	}
	return cmp.Compare(e.offset, f.offset)
}
