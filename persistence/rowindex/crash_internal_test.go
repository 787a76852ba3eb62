package rowindex

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// snapshot is what a crash at a step leaves.
type snapshot struct {
	step  string
	files map[string][]byte
	last  int64 // row of the table
}

func (s *snapshot) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range s.files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

// snapshots lets an index work and takes some snapshots of each kind of step.
func snapshots(t *testing.T, rng *rand.Rand) (*rig, []*snapshot) {
	t.Helper()
	const each = 3
	var mu sync.Mutex
	var taken []*snapshot
	seen := map[string]int{}
	r := newRig(t, rng)
	r.close()
	r.options.GenerationRows, r.options.Fanout = 350, 3 // several blocks to each column
	r.options.step = func(step string) {
		mu.Lock()
		defer mu.Unlock()
		seen[step]++
		if n := seen[step]; n > each && (step != "block" || n%97 != 0) {
			return
		}
		s := &snapshot{step: step, files: map[string][]byte{}, last: r.table.last()}
		for _, file := range segmentFiles(t, r.options.Dir) {
			if content, err := os.ReadFile(file); err == nil { // the other goroutine may have removed it
				s.files[filepath.Base(file)] = content
			}
		}
		taken = append(taken, s)
	}
	r.open()
	const rounds = 5 // make 12 generations at least, and so 4 merges
	for range rounds {
		for range 10 {
			r.add(1 + r.rng.IntN(60))
		}
		for range 2 { // generations, whatever their gaps
			r.add(r.options.GenerationRows)
		}
		idle(t, r.index)
	}
	require.NoError(t, r.index.Close())
	for _, step := range []string{"block", "written", "renamed", "published", "merging", "merged"} {
		require.GreaterOrEqual(t, seen[step], each, "%s: %v", step, seen)
	}
	return r, taken
}

func TestIndexIsExactAfterACrashAtAnyStep(t *testing.T) {
	r, taken := snapshots(t, rand.New(rand.NewPCG(seed(t), 0)))
	for i, s := range taken {
		dir := s.write(t)
		x, err := Open(t.Context(), s.last, r.options.at(dir))
		require.NoError(t, err)
		require.Nil(t, compareSome(x, r.table, s.last, r.rng, 300), "crash at %q with %d rows", s.step, s.last)
		require.NoError(t, x.Close())

		// The rows that came later than the index are found as well.
		c := r.reopened(dir)
		if i%4 == 0 {
			idle(t, c.index) // otherwise it is closed in the middle of its work
		}
		c.checkAll()
		c.close()
		require.ElementsMatch(t, segmentFiles(t, dir), c.files, "crash at %q leaves files", s.step)
	}
	t.Logf("%d crashes", len(taken))
}

// at returns the options for another folder and without steps.
func (o Options) at(dir string) Options {
	o.Dir, o.step = dir, nil
	return o
}

// TestIndexIsExactAfterFilesLostWhatWasSynced opens files that must not come
// about, because each is synced before it gets its name: should a disk lie,
// the checksums tell.
func TestIndexIsExactAfterFilesLostWhatWasSynced(t *testing.T) {
	r, taken := snapshots(t, rand.New(rand.NewPCG(seed(t), 1)))
	opened := 0
	for _, s := range taken {
		names := make([]string, 0, len(s.files))
		for name := range s.files {
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) == 0 {
			continue
		}
		name := names[r.rng.IntN(len(names))]
		content := slices.Clone(s.files[name])
		lost := content[r.rng.IntN(len(content)+1):]
		switch r.rng.IntN(4) {
		case 0:
			clear(lost)
		case 1:
			content = content[:len(content)-len(lost)]
		case 2: // all but the header, which was written last
			clear(content[min(headerBytes, len(content)):])
		case 3: // a page in the middle
			clear(lost[:min(pageBytes, len(lost))])
		}
		delete(s.files, name)
		s.files[strings.TrimSuffix(name, temporarySuffix)] = content
		c := r.reopened(s.write(t))
		c.checkSome()
		c.close()
		opened++
	}
	require.Greater(t, opened, 12)
}
