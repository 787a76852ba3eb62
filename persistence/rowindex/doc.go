// Package rowindex finds the rows of an append-only table by 64-bit keys, at a
// cost that does not grow with the table as that of a B-tree over random keys
// does: nothing that was written is written again, except in long sequential
// runs.
//
// The newest rows are in memory, in the open generation. A full generation is
// frozen, sorted and written by a background goroutine as an immutable segment
// file; segments of one size are merged into larger ones, so that a table of n
// generations has about log n of them. In memory stay, per segment, a filter
// (16 bits per row) and the first entry of each 4 KiB block.
//
// The table is the only truth. An index says which rows may have a key, never
// less: a filter only spares reads, and whoever asks compares the rows
// themselves. All of it can be derived from the table: Open rebuilds what is
// missing, torn or damaged, and reads the rows behind the last segment into
// memory. DESIGN.md in the folder above has the file format and the figures.
//
// Add is called by one goroutine at a time; all other methods by any.
package rowindex
