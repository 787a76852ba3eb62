package rowindex

// mergeSource merges one column of adjacent segments.
type mergeSource struct {
	total uint64
	heads []*mergeHead // a heap with the least entry on top
}

// mergeHead reads one segment's column in order.
type mergeHead struct {
	segment *segment
	column  int
	shift   uint32 // from the segment's offsets to those of the merged one
	block   block
	number  int // of the block
	i       int // of the entry in it
	entry   entry
}

func newMergeSource(segments []*segment, column int) (*mergeSource, error) {
	m := &mergeSource{}
	for _, s := range segments {
		m.total += s.columns[column].entries
		h := &mergeHead{segment: s, column: column, shift: uint32(s.first - segments[0].first), number: -1}
		ok, err := h.advance()
		if err != nil {
			return nil, err
		}
		if ok {
			m.heads = append(m.heads, h)
		}
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

func (m *mergeSource) entries() uint64 { return m.total }

func (m *mergeSource) next() (entry, bool, error) {
	if len(m.heads) == 0 {
		return entry{}, false, nil
	}
	e := m.heads[0].entry
	ok, err := m.heads[0].advance()
	if err != nil {
		return entry{}, false, err
	}
	if !ok {
		last := len(m.heads) - 1
		m.heads[0] = m.heads[last]
		m.heads = m.heads[:last]
	}
	m.sink(0)
	return e, true, nil
}

// advance moves to the next entry and reports whether there is one.
func (h *mergeHead) advance() (bool, error) {
	if h.number < 0 || h.i == h.block.count() {
		h.number, h.i = h.number+1, 0
		if h.number == h.segment.search[h.column].blocks() {
			return false, nil
		}
		if err := h.segment.readBlock(&h.block, h.column, h.number); err != nil {
			return false, err
		}
	}
	h.entry = entryAt(h.block[:], h.i)
	h.entry.offset += h.shift
	h.i++
	return true, nil
}

// sink restores the heap below i.
func (m *mergeSource) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heads); child++ {
			if m.heads[child].entry.compare(m.heads[least].entry) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heads[i], m.heads[least] = m.heads[least], m.heads[i]
		i = least
	}
}
