package rowindex

import (
	"cmp"
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

// sorted returns the entries of a column by key, then row.
func (g *generation) sorted(column int) []entry {
	entries := make([]entry, 0, g.rows())
	for i, key := range g.columns[column] {
		if !g.holes[uint32(i)] {
			entries = append(entries, entry{key, uint32(i)})
		}
	}
	slices.SortFunc(entries, entry.compare)
	return entries
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
