package crashvfs

import "math/rand/v2"

// Fate has a bit for each sector of a write that has reached the disk, the
// first one the lowest; of a longer write, sector 64 shares that of sector 0.
// A truncation is lost when it is 0 and done otherwise.
type Fate uint64

const allSectors = ^Fate(0)

func (f Fate) keeps(sector int) bool { return f>>(sector%64)&1 == 1 }

// Survival says what of the uncertain has reached the disk when the power is
// lost. The zero value: nothing.
type Survival struct {
	// Fates are those of the uncertain writes and truncations, in the order in
	// which they were made; missing ones are lost.
	Fates []Fate
	// Names is how many changes of names have reached it: file systems keep
	// their order.
	Names int
	// Grown says that a lost write that made its file longer has left zeros.
	Grown bool
}

// Systematic returns the survivals that programs fail at first: nothing, all,
// every prefix, all but one, only one; of each, with none and with all changes of
// names. There are at most 6 n + names of them.
func (p *Platter) Systematic() []Survival {
	n, names := p.Uncertain()
	var all []Survival
	for _, k := range []int{0, names} {
		for i := range n + 1 {
			prefix := make([]Fate, n)
			for j := range i {
				prefix[j] = allSectors
			}
			all = append(all, Survival{Fates: prefix, Names: k})
		}
		for i := range n {
			one, others := make([]Fate, n), make([]Fate, n)
			for j := range n {
				others[j] = allSectors
			}
			one[i], others[i] = allSectors, 0
			all = append(all, Survival{Fates: one, Names: k}, Survival{Fates: others, Names: k})
		}
		if names == 0 {
			break
		}
	}
	for k := 1; k < names; k++ {
		all = append(all, Survival{Names: k})
	}
	return all
}

// Random draws a survival: each change whole or not with a share of its own,
// sometimes torn between sectors, sometimes only behind a prefix.
func (p *Platter) Random(r *rand.Rand) Survival {
	n, names := p.Uncertain()
	s := Survival{Fates: make([]Fate, n), Names: r.IntN(names + 1), Grown: r.IntN(2) == 0}
	kept, torn := r.Float64(), []float64{0, 0.1, 1}[r.IntN(3)]
	prefix := 0
	if r.IntN(3) == 0 {
		prefix = r.IntN(n + 1)
	}
	for i := range s.Fates {
		switch {
		case i < prefix:
			s.Fates[i] = allSectors
		case r.Float64() < torn:
			s.Fates[i] = tear(r)
		case r.Float64() < kept:
			s.Fates[i] = allSectors
		}
	}
	return s
}

// tear draws sectors at random, or the first or last few.
func tear(r *rand.Rand) Fate {
	switch at := r.IntN(9); r.IntN(3) {
	case 0:
		return allSectors << at
	case 1:
		return ^(allSectors << at)
	default:
		return Fate(r.Uint64())
	}
}
