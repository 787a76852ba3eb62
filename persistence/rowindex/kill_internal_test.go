package rowindex

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childEnv holds the childPlan in the environment of a child process.
const childEnv = "ROWINDEX_CHILD"

// childPlan says when a child process kills itself.
type childPlan struct {
	Dir   string
	Steps []string // of these steps
	Merge bool     // and only while segments are being merged
	Count int      // the one with this number
}

const (
	childBatch   = 200
	childMaxRows = 1 << 20 // a child that lives that long has failed
	childFailed  = 3
)

// TestIndexIsExactAfterKill kills a process by SIGKILL in the middle of its
// background work and goes on with its files. ROWINDEX_KILLS is how often, for
// each part of the work.
func TestIndexIsExactAfterKill(t *testing.T) {
	const killsPerFolder = 5
	kills := number(t, "ROWINDEX_KILLS", 10)
	rng := rand.New(rand.NewPCG(seed(t), 0))
	for _, c := range []struct {
		when  string
		plan  childPlan
		count int // the largest Count
	}{
		{"in the middle of writing a segment", childPlan{Steps: []string{"block"}}, 30},
		{"while a segment is published", childPlan{Steps: []string{"written", "renamed", "published"}}, 12},
		{"while segments are merged", childPlan{Merge: true, Steps: []string{"merging", "block", "written", "renamed", "merged"}}, 40},
	} {
		t.Run(c.when, func(t *testing.T) {
			var took []time.Duration
			rows := int64(0)
			for kill := range kills {
				if kill%killsPerFolder == 0 {
					c.plan.Dir = t.TempDir()
				}
				c.plan.Count = 1 + rng.IntN(c.count)
				killChild(t, c.plan)
				last, opening := reopen(t, c.plan.Dir, rng)
				took, rows = append(took, opening), max(rows, last)
			}
			slices.Sort(took)
			t.Logf("killed and compared %d times, with up to %d rows; Open took %v, at most %v", kills, rows, took[len(took)/2], took[len(took)-1])
		})
	}
}

// killChild runs a child until it kills itself.
func killChild(t *testing.T, plan childPlan) {
	t.Helper()
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+string(text))
	output, err := child.CombinedOutput()
	require.NoError(t, ctx.Err(), "the child hangs")
	require.Error(t, err)
	require.Equal(t, -1, child.ProcessState.ExitCode(), "the child must be killed by a signal: %s", output)
}

// reopen opens what a child left, compares everything and tells how many rows
// there are and how long opening took.
func reopen(t *testing.T, dir string, rng *rand.Rand) (last int64, took time.Duration) {
	t.Helper()
	table, file, err := childTable(dir)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	last = table.last()
	begin := time.Now()
	x, err := Open(t.Context(), last, childOptions(dir, table, nil))
	took = time.Since(begin)
	require.NoError(t, err)
	require.Nil(t, compare(x, table, last, rng))
	require.NoError(t, x.Close())
	return last, took
}

func childOptions(dir string, table Table, step func(string)) Options {
	return Options{
		Dir: dir, Name: "t", Columns: []Column{{Hashed: true}, {}}, Table: table, step: step,
		GenerationRows: 800, Fanout: 3, MaxFrozen: 2,
	}
}

// childTable reads the table of a child: a file with the number of its last
// row, appended and synced with each commit. The keys follow from the number.
func childTable(dir string) (*table, *os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "table"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	last := make([]byte, 8)
	if commits := info.Size() / 8; commits > 0 {
		if _, err := f.ReadAt(last, (commits-1)*8); err != nil {
			return nil, nil, err
		}
	}
	t := newTable(1)
	for row := int64(1); row <= int64(binary.LittleEndian.Uint64(last)); row++ {
		t.append(0, childKeys(row)...)
	}
	return t, f, nil
}

// childKeys returns the keys of a row; each seventh row repeats an older hash.
func childKeys(row int64) []uint64 {
	n := uint64(row)
	if n%7 == 0 {
		n /= 7
	}
	return []uint64{rand.NewPCG(n, n).Uint64(), 1 + n%5}
}

// runChild is the child process: it adds rows until it has killed itself.
func runChild() {
	var plan childPlan
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &plan)
	if err == nil {
		err = plan.run()
	}
	fmt.Fprintln(os.Stderr, "the child was not killed:", err)
	os.Exit(childFailed)
}

func (p *childPlan) run() error {
	table, file, err := childTable(p.Dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	x, err := Open(ctx, table.last(), childOptions(p.Dir, table, p.killer()))
	if err != nil {
		return err
	}
	for table.last() < childMaxRows {
		if err := x.Ready(ctx); err != nil {
			return err
		}
		first := table.last() + 1
		keys := make([][]uint64, 2)
		for row := first; row < first+childBatch; row++ {
			k := childKeys(row)
			table.append(0, k...)
			keys[hashed], keys[scanned] = append(keys[hashed], k[hashed]), append(keys[scanned], k[scanned])
		}
		if _, err := file.Write(binary.LittleEndian.AppendUint64(nil, uint64(table.last()))); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		x.Add(first, keys...)
	}
	return nil
}

// killer returns a hook that kills this process at the planned step.
func (p *childPlan) killer() func(string) {
	var mu sync.Mutex
	merging := false
	return func(step string) {
		mu.Lock()
		defer mu.Unlock()
		merging = (merging || step == "merging") && step != "merged"
		if p.Merge && !merging && step != "merged" || !slices.Contains(p.Steps, step) {
			return
		}
		if p.Count--; p.Count == 0 {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				_ = self.Kill() // what follows fails the test if it did not
			}
			select {}
		}
	}
}
