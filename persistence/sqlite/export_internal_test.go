package sqlite

// SetSearchWindow makes Events search in steps of n seqs, so that a few
// thousand events take many steps.
func (s *Store) SetSearchWindow(n int64) { s.window = n }
