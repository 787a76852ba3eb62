package crashvfs

import (
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Image is the content of a folder's files by name.
type Image map[string][]byte

// ReadImage reads the files of dir; folders in it are left out.
func ReadImage(dir string) (Image, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	image := Image{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if image[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// Write writes the files into dir, which it creates when it is missing.
func (m Image) Write(dir string) error {
	errs := []error{os.MkdirAll(dir, 0o700)}
	for name, content := range m {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return errors.Join(errs...)
}

// Sum is the same for equal images, and practically only for them.
func (m Image) Sum() uint64 {
	d := xxhash.New()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var head [16]byte
		binary.LittleEndian.PutUint64(head[:], uint64(len(name)))
		binary.LittleEndian.PutUint64(head[8:], uint64(len(m[name])))
		for _, part := range [][]byte{head[:], []byte(name), m[name]} {
			_, _ = d.Write(part) // a hash never fails
		}
	}
	return d.Sum64()
}
