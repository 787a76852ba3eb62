//go:build linux

package rowindex

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/internal/prove"
)

func TestIndexRecoversWhenTheDiskIsNoLongerFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		prove.Skip(t, "mount", "mount a tmpfs: "+err.Error())
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	r := newRig(t, rand.New(rand.NewPCG(seed(t), 0)))
	r.close()
	r.options.Dir = filepath.Join(dir, "index")
	r.open()
	t.Cleanup(r.close) // before the file system goes
	r.add(3 * r.options.GenerationRows)
	idle(t, r.index)

	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = ballast.Close() }) // once more, should the test fail early
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, ballast.Close())
	for r.index.Ready(t.Context()) == nil {
		r.addWithoutGap(r.options.GenerationRows)
	}
	r.requireFailing(syscall.ENOSPC)

	r.close()
	r.open() // what was in memory fits into it again
	r.requireFailing(syscall.ENOSPC)

	require.NoError(t, os.Remove(ballast.Name()))
	r.requireRecovery()
}
