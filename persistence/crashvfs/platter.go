package crashvfs

import (
	"maps"
	"slices"
)

// sectorBytes is what a disk writes whole or not at all.
const sectorBytes = 512

// Platter is what is certain to be on the disk, and what may be there or not,
// after some operations of a record.
type Platter struct {
	durable map[string]*inode // the names that are certain
	renames []nameChange      // since, in order
	current map[string]*inode // the names as programs see them
	applied int               // operations so far
}

// nameChange is a change of names that may not be on the disk.
type nameChange struct {
	Op
	created *inode // Create
}

// inode is the content of a file under whatever names.
type inode struct {
	certain []byte
	changes []change // since, in order
}

// change is a write or a truncation that may not be on the disk.
type change struct {
	op       int // its place in the record
	truncate bool
	off      int64
	data     []byte
	synced   bool // certain, but on top of others that are not
	failed   bool // a sync of it failed: no later one makes it certain
}

// NewPlatter returns a disk that holds an image, all of it for certain. The
// image is not changed.
func NewPlatter(start Image) *Platter {
	p := &Platter{durable: make(map[string]*inode), current: make(map[string]*inode)}
	for name, content := range start {
		p.durable[name] = &inode{certain: slices.Clone(content)}
		p.current[name] = p.durable[name]
	}
	return p
}

// Apply does the next operation of a record.
func (p *Platter) Apply(o Op) {
	op := p.applied
	p.applied++
	switch o.Kind {
	case Write:
		f := p.file(o.File)
		f.changes = append(f.changes, change{op: op, off: o.Off, data: o.Data})
	case Truncate:
		f := p.file(o.File)
		f.changes = append(f.changes, change{op: op, truncate: true, off: o.Off})
	case Sync:
		p.file(o.File).sync(o.Failed)
	case Create, Delete, Rename:
		c := nameChange{Op: o}
		if o.Kind == Create {
			c.created = &inode{}
		}
		p.renames = append(p.renames, c)
		c.apply(p.current)
	case SyncDir:
		p.durable, p.renames = maps.Clone(p.current), nil
	}
}

// file is the file of that name as programs see it.
func (p *Platter) file(name string) *inode {
	f := p.current[name]
	if f == nil { // written through a handle after its name was removed
		f = &inode{}
	}
	return f
}

func (c *nameChange) apply(names map[string]*inode) {
	switch c.Kind {
	case Create:
		names[c.File] = c.created
	case Delete:
		delete(names, c.File)
	case Rename:
		if f := names[c.File]; f != nil {
			names[c.To] = f
			delete(names, c.File)
		}
	}
}

// sync makes the changes so far certain, or uncertain for good.
func (f *inode) sync(failed bool) {
	for i := range f.changes {
		c := &f.changes[i]
		if failed && !c.synced {
			c.failed = true
		}
		c.synced = c.synced || !c.failed
	}
	// What lies below everything uncertain needs no record of its own.
	n := slices.IndexFunc(f.changes, func(c change) bool { return !c.synced })
	if n < 0 {
		n = len(f.changes)
	}
	for i := range f.changes[:n] {
		f.certain = f.changes[i].apply(f.certain, allSectors, false)
	}
	f.changes = slices.Delete(f.changes, 0, n)
}

// apply returns content with the sectors of the change that fate keeps. With
// grown, a lost write still makes the file as long as it would have.
func (c *change) apply(content []byte, fate Fate, grown bool) []byte {
	if c.truncate {
		if fate == 0 {
			return content
		}
		return resize(content, c.off)
	}
	end := c.off + int64(len(c.data))
	if grown {
		content = resize(content, max(end, int64(len(content))))
	}
	for at := c.off; at < end; {
		next := min(end, (at/sectorBytes+1)*sectorBytes)
		if fate.keeps(int(at/sectorBytes - c.off/sectorBytes)) {
			content = resize(content, max(next, int64(len(content))))
			copy(content[at:next], c.data[at-c.off:next-c.off])
		}
		at = next
	}
	return content
}

// resize cuts content off or fills it up with zeros.
func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

// uncertain returns the changes that may or may not be on the disk, in the
// order in which they were made.
func (p *Platter) uncertain() []*change {
	var all []*change
	for f := range p.files() {
		for i := range f.changes {
			if !f.changes[i].synced {
				all = append(all, &f.changes[i])
			}
		}
	}
	slices.SortFunc(all, func(a, b *change) int { return a.op - b.op })
	return all
}

// files are those that have a name, or may have one after a loss of power.
func (p *Platter) files() map[*inode]bool {
	files := make(map[*inode]bool)
	for _, names := range []map[string]*inode{p.durable, p.current} {
		for _, f := range names {
			files[f] = true
		}
	}
	for i := range p.renames {
		if f := p.renames[i].created; f != nil {
			files[f] = true
		}
	}
	return files
}

// Uncertain returns how many writes and truncations may or may not be on the
// disk, and how many changes of names.
func (p *Platter) Uncertain() (changes, names int) { return len(p.uncertain()), len(p.renames) }

// Image returns the folder as a loss of power could leave it now, s saying what
// has reached the disk.
func (p *Platter) Image(s Survival) Image {
	fates := make(map[*change]Fate)
	for i, c := range p.uncertain() {
		if i < len(s.Fates) {
			fates[c] = s.Fates[i]
		}
	}
	names := maps.Clone(p.durable)
	for _, c := range p.renames[:min(s.Names, len(p.renames))] {
		c.apply(names)
	}
	image := make(Image, len(names))
	for name, f := range names {
		content := slices.Clone(f.certain)
		for i := range f.changes {
			c := &f.changes[i]
			fate := fates[c]
			if c.synced {
				fate = allSectors
			}
			content = c.apply(content, fate, s.Grown)
		}
		image[name] = content
	}
	return image
}
