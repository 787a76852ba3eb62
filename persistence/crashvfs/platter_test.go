package crashvfs_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/persistence/crashvfs"
)

const kept = ^crashvfs.Fate(0)

func write(file string, off int64, data string) crashvfs.Op {
	return crashvfs.Op{Kind: crashvfs.Write, File: file, Off: off, Data: []byte(data)}
}

func after(start crashvfs.Image, ops ...crashvfs.Op) *crashvfs.Platter {
	p := crashvfs.NewPlatter(start)
	for _, o := range ops {
		p.Apply(o)
	}
	return p
}

func fates(f ...crashvfs.Fate) crashvfs.Survival { return crashvfs.Survival{Fates: f} }

func TestWhatIsNotSyncedMayBeThereOrNot(t *testing.T) {
	p := after(crashvfs.Image{"f": []byte("....")}, write("f", 0, "a"), crashvfs.Op{Kind: crashvfs.Sync, File: "f"},
		write("f", 1, "b"), write("f", 2, "c"))
	for _, tc := range []struct {
		survival crashvfs.Survival
		want     string
	}{
		{fates(), "a..."},
		{fates(kept, kept), "abc."},
		{fates(kept, 0), "ab.."},
		{fates(0, kept), "a.c."},
	} {
		require.Equal(t, tc.want, string(p.Image(tc.survival)["f"]))
	}
	changes, names := p.Uncertain()
	require.Equal(t, []int{2, 0}, []int{changes, names})
}

func TestASyncIsOfItsOwnFileOnly(t *testing.T) {
	p := after(crashvfs.Image{"f": nil, "g": nil}, write("f", 0, "a"), write("g", 0, "b"), crashvfs.Op{Kind: crashvfs.Sync, File: "g"})
	require.Equal(t, crashvfs.Image{"f": nil, "g": []byte("b")}.Sum(), p.Image(fates()).Sum())
}

func TestAWriteTearsBetweenSectors(t *testing.T) {
	old, now := bytes.Repeat([]byte("o"), 2048), bytes.Repeat([]byte("n"), 1200)
	p := after(crashvfs.Image{"f": old}, crashvfs.Op{Kind: crashvfs.Write, File: "f", Off: 500, Data: now})
	image := p.Image(fates(0b0101))["f"] // sectors 0 and 2 of 0 to 3
	want := bytes.Clone(old)
	copy(want[500:512], now)
	copy(want[1024:1536], now)
	require.Equal(t, want, image)
}

func TestALostWriteAtTheEndLeavesTheFileShortOrZeros(t *testing.T) {
	p := after(crashvfs.Image{"f": []byte("a")}, write("f", 1, "b"), write("f", 2, "c"))
	require.Equal(t, "a\x00c", string(p.Image(fates(0, kept))["f"]), "a hole")
	require.Equal(t, "ab", string(p.Image(fates(kept, 0))["f"]))
	require.Equal(t, "ab\x00", string(p.Image(crashvfs.Survival{Fates: []crashvfs.Fate{kept, 0}, Grown: true})["f"]))
}

func TestATruncationIsLikeAWrite(t *testing.T) {
	p := after(crashvfs.Image{"f": []byte("abcd")}, crashvfs.Op{Kind: crashvfs.Truncate, File: "f", Off: 1}, write("f", 1, "x"))
	require.Equal(t, "axcd", string(p.Image(fates(0, kept))["f"]))
	require.Equal(t, "a", string(p.Image(fates(kept, 0))["f"]))
	require.Equal(t, "ax", string(p.Image(fates(kept, kept))["f"]))
}

func TestAfterAFailedSyncALaterOneMakesNothingOfItCertain(t *testing.T) {
	failed := crashvfs.Op{Kind: crashvfs.Sync, File: "f", Failed: true}
	synced := crashvfs.Op{Kind: crashvfs.Sync, File: "f"}
	p := after(crashvfs.Image{"f": []byte("...")}, write("f", 0, "a"), failed, write("f", 1, "b"), synced, write("f", 2, "c"), synced, failed)
	require.Equal(t, ".bc", string(p.Image(fates())["f"]), "what came behind it is certain")
	require.Equal(t, "abc", string(p.Image(fates(kept))["f"]))
	p.Apply(write("f", 0, "A"))
	p.Apply(synced)
	require.Equal(t, "Abc", string(p.Image(fates())["f"]), "written again and synced")
}

func TestNamesAreCertainAfterASyncOfTheFolderAndKeepTheirOrder(t *testing.T) {
	create, rename := crashvfs.Op{Kind: crashvfs.Create, File: "new"}, crashvfs.Op{Kind: crashvfs.Rename, File: "new", To: "db"}
	p := after(crashvfs.Image{"old": []byte("o")}, create, write("new", 0, "n"), crashvfs.Op{Kind: crashvfs.Sync, File: "new"},
		rename, crashvfs.Op{Kind: crashvfs.Delete, File: "old"})
	for names, want := range []crashvfs.Image{
		{"old": []byte("o")},
		{"old": []byte("o"), "new": []byte("n")},
		{"old": []byte("o"), "db": []byte("n")},
		{"db": []byte("n")},
	} {
		require.Equal(t, want.Sum(), p.Image(crashvfs.Survival{Names: names}).Sum(), names)
	}
	p.Apply(crashvfs.Op{Kind: crashvfs.SyncDir})
	require.Equal(t, crashvfs.Image{"db": []byte("n")}.Sum(), p.Image(fates()).Sum())
}

func TestEverySurvivalOfFewWritesIsDrawn(t *testing.T) {
	p := after(crashvfs.Image{"f": []byte("...")}, write("f", 0, "a"), write("f", 1, "b"), write("f", 2, "c"))
	const subsets = 8
	systematic, random := map[uint64]bool{}, map[uint64]bool{}
	for _, s := range p.Systematic() {
		systematic[p.Image(s).Sum()] = true
	}
	require.Len(t, systematic, subsets, "of three writes, prefixes and all but one and only one are all")
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		random[p.Image(p.Random(r)).Sum()] = true
	}
	for sum := range systematic {
		require.Contains(t, random, sum)
	}
}

func TestImagesAreKeptApartByEveryByteAndName(t *testing.T) {
	sums := map[uint64]bool{}
	for _, m := range []crashvfs.Image{
		{}, {"a": nil}, {"b": nil}, {"a": []byte("x")}, {"ax": nil}, {"a": nil, "x": nil}, {"a": []byte("xx")},
	} {
		sums[m.Sum()] = true
	}
	require.Len(t, sums, 7)
}
