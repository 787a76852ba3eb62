package rowindex

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilterForgetsNothingAndLetsLittleThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		keys int
		rate float64 // of absent keys that seem to be there, at most
	}{
		{"no keys", 0, 0},
		{"one key", 1, 0.001},
		{"a full block", 16, 0.01},
		{"a generation", 1 << 18, 0.0016},
		{"a merged segment", 1 << 19, 0.0016},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := testFilter(t, uint64(c.keys))
			require.LessOrEqual(t, len(f), c.keys*filterBitsPerKey/8+filterBlockBytes)
			keys := make([]uint64, c.keys)
			for i := range keys {
				keys[i] = rng.Uint64()
				f.add(keys[i])
			}
			missing := 0
			for _, key := range keys {
				if !f.has(key) {
					missing++
				}
			}
			require.Zero(t, missing)
			const asked = 200_000
			through := 0
			for range asked {
				if f.has(rng.Uint64()) {
					through++
				}
			}
			rate := float64(through) / asked
			t.Logf("%.5f of absent keys pass", rate)
			require.LessOrEqual(t, rate, c.rate)
		})
	}
}

func TestFilterTakesAnyKey(t *testing.T) {
	f := testFilter(t, 1000)
	for _, key := range []uint64{0, 1, 1<<32 - 1, 1 << 32, ^uint64(0), (1<<32 - 1) << 32} {
		f.add(key)
		require.True(t, f.has(key), "%x", key)
	}
}

// testFilter is newFilter for a test.
func testFilter(t testing.TB, keys uint64) filter {
	t.Helper()
	f, err := newFilter(keys)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, release(f)) })
	return f
}
