package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryPlantedBugFitsTheSources keeps the bugs plantable: `make prove-teeth`
// takes minutes, this does not.
func TestEveryPlantedBugFitsTheSources(t *testing.T) {
	t.Chdir("../../..")
	names := make(map[string]bool)
	for i := range bugs {
		b := &bugs[i]
		t.Run(b.Name, func(t *testing.T) {
			require.False(t, names[b.Name], "the name is taken")
			names[b.Name] = true
			require.NotEmpty(t, b.Is)
			require.NotEmpty(t, b.Tests)
			_, err := b.overlay(t.TempDir())
			require.NoError(t, err)
		})
	}
	require.Len(t, bugs, 12)
}

func TestABugThatDoesNotFitIsAnError(t *testing.T) {
	file := t.TempDir() + "/a.go"
	require.NoError(t, os.WriteFile(file, []byte("package a\n\nvar x, y = 1, 1\n"), 0o600))
	for name, old := range map[string]string{"the text is gone": "var z", "the text is there twice": "1"} {
		t.Run(name, func(t *testing.T) {
			b := bug{Name: name, Edits: []edit{{file, old, "2"}}}
			_, err := b.overlay(t.TempDir())
			require.ErrorContains(t, err, "fit the bug to the sources")
		})
	}
}

func TestFailedFindsTheTestThatFailed(t *testing.T) {
	require.Equal(t, "TestA", failed("ok\n--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n"))
	require.Empty(t, failed("# sekali/x\n./x.go:1: undefined: y\nFAIL\tsekali/x [build failed]\n"))
}
