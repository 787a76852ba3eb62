package sqlite

// SetSearchWindow makes Events search in steps of n seqs, so that a few
// thousand events take many steps.
func (s *Store) SetSearchWindow(n int64) { s.window = n }

// WithGenerations makes the indexes write a segment every n rows, so that a
// few thousand events make many.
func (o Options) WithGenerations(n int) Options {
	o.generationRows = n
	return o
}
