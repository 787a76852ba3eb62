package httpserver

import (
	"bytes"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"sekali"
)

func gzippedBlanks(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(bytes.Repeat([]byte(" "), size))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// TestADecompressedBodyIsChargedAsItGrows: neither what is sent nor the limit
// of one body is charged, but what is there.
func TestADecompressedBodyIsChargedAsItGrows(t *testing.T) {
	b := &bodies{maxBody: 8 << 20, maxInFlight: 64 << 20}
	d := newDecoders(b)
	plain, err := d.decode(codingGzip, gzippedBlanks(t, 100<<10), time.Minute)
	require.NoError(t, err)
	require.Len(t, plain.bytes, 100<<10)
	require.EqualValues(t, 128<<10-freeBodyBytes, b.inFlight.Load())
	b.put(plain)
	require.Zero(t, b.inFlight.Load())
}

func TestADecompressedBodyIsRefusedWhereAllBodiesTakeTooMuch(t *testing.T) {
	b := &bodies{maxBody: 8 << 20, maxInFlight: 1 << 20}
	d := newDecoders(b)
	_, err := d.decode(codingGzip, gzippedBlanks(t, 2<<20), time.Minute)
	require.Equal(t, sekali.CodeOverloaded, sekali.CodeOf(err))
	require.Zero(t, b.inFlight.Load(), "what it had is given back")
	_, err = d.decode(codingGzip, gzippedBlanks(t, 1<<19), time.Minute)
	require.NoError(t, err)
}

func TestABodyWaitsForADecoderNoLongerThanItMay(t *testing.T) {
	b := &bodies{maxBody: 8 << 20, maxInFlight: 64 << 20}
	d := newDecoders(b)
	var busy []*decoder
	for range cap(d.free) {
		one, err := d.acquire(time.Minute)
		require.NoError(t, err)
		busy = append(busy, one)
	}
	_, err := d.decode(codingGzip, gzippedBlanks(t, 10), time.Millisecond)
	require.Equal(t, sekali.CodeOverloaded, sekali.CodeOf(err))
	require.Zero(t, b.inFlight.Load())
	d.free <- busy[0]
	_, err = d.decode(codingGzip, gzippedBlanks(t, 10), time.Minute)
	require.NoError(t, err)
}

// TestADecompressionEndsInTime sends members without content, which no limit
// of size ends.
func TestADecompressionEndsInTime(t *testing.T) {
	b := &bodies{maxBody: 8 << 20, maxInFlight: 64 << 20}
	d := newDecoders(b)
	endless := bytes.Repeat(gzippedBlanks(t, 0), 200_000)
	_, err := d.decode(codingGzip, endless, time.Microsecond)
	require.Equal(t, sekali.CodeOverloaded, sekali.CodeOf(err))
	require.Zero(t, b.inFlight.Load())
}

// TestADecompressedBodyIsOverwritten is the control of retention for bodies
// that no handler sees.
func TestADecompressedBodyIsOverwritten(t *testing.T) {
	b := &bodies{maxBody: 8 << 20, maxInFlight: 64 << 20}
	d := newDecoders(b)
	plain, err := d.decode(codingGzip, gzippedBlanks(t, 100), time.Minute)
	require.NoError(t, err)
	retained := plain.bytes
	b.put(plain)
	require.Equal(t, bytes.Repeat([]byte("#"), 100), retained)
}
