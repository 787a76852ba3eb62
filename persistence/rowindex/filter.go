package rowindex

import (
	"encoding/binary"
	"runtime"
)

// filter is a split block Bloom filter: a key sets one bit in each of the
// eight words of one 32-byte block, so that a look-up touches one cache line.
// At 16 bits per key about 13 in 10,000 keys that were not added seem to have
// been. The memory is what the file holds, the layout that of Apache Parquet.
// https://parquet.apache.org/docs/file-format/bloomfilter/
type filter []byte

const (
	filterBitsPerKey = 16
	filterBlockBytes = 32
)

var filterSalts = [8]uint32{
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
	0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
}

// newFilter allocates the filter of some keys; its memory has to be released.
func newFilter(keys uint64) (filter, error) {
	const keysPerBlock = 8 * filterBlockBytes / filterBitsPerKey
	b, err := allocate(int(max(1, (keys+keysPerBlock-1)/keysPerBlock) * filterBlockBytes))
	return filter(b), err
}

// block returns the block of a key; the upper half of the key selects it, the
// lower half the bits in it.
func (f filter) block(key uint64) []byte {
	i := (key >> 32) * uint64(len(f)/filterBlockBytes) >> 32 * filterBlockBytes
	return f[i : i+filterBlockBytes : i+filterBlockBytes]
}

func (f filter) add(key uint64) {
	b, low := f.block(key), uint32(key)
	for i, salt := range filterSalts {
		word := binary.LittleEndian.Uint32(b[4*i:]) | 1<<(low*salt>>27)
		binary.LittleEndian.PutUint32(b[4*i:], word)
	}
}

// has reports whether key may have been added; false is certain. It looks at
// all eight words before it branches: an early way out would be mispredicted
// half of the time, and hold up the look at the next key.
func (f filter) has(key uint64) bool {
	b, low := f.block(key), uint32(key)
	missing := uint32(0)
	for i, salt := range filterSalts {
		missing |= ^binary.LittleEndian.Uint32(b[4*i:]) & (1 << (low * salt >> 27))
	}
	return missing == 0
}

// warmKeys is how many keys are fetched ahead. The fetches do not depend on
// each other, so the processor waits for many at once; without them a look
// takes 2.7 times as long (BenchmarkFilter).
const warmKeys = 32

// warm fetches the blocks of some keys into the processor's cache.
func (f filter) warm(keys []uint64) {
	touched := byte(0)
	for _, key := range keys {
		touched |= f.block(key)[0]
	}
	runtime.KeepAlive(touched)
}
