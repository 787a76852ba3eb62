package httpserver_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// compressors make bodies as senders do.
var compressors = []struct {
	name     string // of the Content-Encoding
	compress func(t testing.TB, plain string) string
}{{"gzip", gzipped}, {"zstd", zstdWhole}, {"zstd", zstdStreamed}}

func gzipped(t testing.TB, plain string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(plain))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// zstdWhole announces the size of the content, zstdStreamed does not.
func zstdWhole(t testing.TB, plain string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	return string(w.EncodeAll([]byte(plain), nil))
}

func zstdStreamed(t testing.TB, plain string) string {
	t.Helper()
	return zstdOfWindow(t, plain, 1<<20)
}

func zstdOfWindow(t testing.TB, plain string, window int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	require.NoError(t, err)
	_, err = w.Write([]byte(plain))
	require.NoError(t, err)
	require.NoError(t, w.Flush()) // otherwise a small content is announced, too
	require.NoError(t, w.Close())
	return b.String()
}

func (n *node) publishCompressed(coding, body string) answer {
	n.t.Helper()
	return n.do("POST", "/publish", body, "Content-Type: application/json", "Content-Encoding: "+coding)
}

func TestACompressedBodyIsTaken(t *testing.T) {
	n := start(t, setup{})
	stored := 0
	for i, c := range compressors {
		for j, coding := range []string{c.name, strings.ToUpper(c.name), " " + c.name + "\t"} {
			batch := newEvents(fmt.Sprintf("topic %d.%d", i, j), numbered("e", 1000)...)
			batch[0].Payload = []byte(`{"n":9007199254740993,"s":"\u00e9"}`)
			a := n.publishCompressed(coding, c.compress(t, encode(t, batch)))
			require.Equal(t, http.StatusOK, a.status, "%s", a.body)
			stored += len(batch)
			require.Equal(t, 1000, as[published](t, a).Stored)
			require.Equal(t, batch[0], n.events("?limit=1&after=" + fmt.Sprint(stored-1000))[0].event)
		}
	}
	a := n.publishCompressed("x-gzip", gzipped(t, encode(t, newEvent("x", "1"))))
	require.Equal(t, http.StatusOK, a.status, "the old name of gzip")
	members := gzipped(t, "["+encode(t, newEvent("x", "2"))) + gzipped(t, "]")
	require.Equal(t, http.StatusOK, n.publishCompressed("gzip", members).status, "several members make one body")
	frames := zstdWhole(t, "["+encode(t, newEvent("x", "3"))) + zstdStreamed(t, "]")
	require.Equal(t, http.StatusOK, n.publishCompressed("zstd", frames).status, "several frames make one body")
	n.requireCounts(int64(stored+3), 0)
	require.Zero(t, n.server.InFlightBodies())
}

func TestACompressedBodyIsTakenInChunks(t *testing.T) {
	n := start(t, setup{})
	body := gzipped(t, encode(t, newEvent("a", "1")))
	answers := n.raw("POST", "/publish", "POST /publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n"+chunk(body[:10])+chunk(body[10:])+"0\r\n\r\n")
	require.Len(t, answers, 1)
	require.Equal(t, http.StatusOK, answers[0].status)
	n.requireCounts(1, 0)
}

func TestOtherCodingsAreRefusedAndThoseTakenAreNamed(t *testing.T) {
	n := start(t, setup{})
	body := gzipped(t, encode(t, newEvent("a", "1")))
	for _, coding := range []string{"br", "deflate", "compress", "x", "gzip, gzip", "identity, gzip", "gzip,zstd", "gzip;q=1", "*", "gzip,"} {
		t.Run(coding, func(t *testing.T) {
			n := n.on(t)
			a := n.publishCompressed(coding, body)
			refused(t, a, http.StatusUnsupportedMediaType, "unsupported_encoding")
			require.Equal(t, "gzip, zstd", a.header.Get("Accept-Encoding"))
		})
	}
	for _, first := range []string{"gzip", "identity", ""} {
		a := n.do("POST", "/publish", body, "Content-Encoding: "+first, "Content-Encoding: gzip")
		refused(t, a, http.StatusUnsupportedMediaType, "unsupported_encoding")
	}
	n.requireUntouched()
	for _, coding := range []string{"identity", "Identity", ""} {
		require.Equal(t, http.StatusOK, n.publishCompressed(coding, encode(t, newEvent("a", "1"))).status)
	}
}

// TestABodyThatIsNotWhatItsCodingSaysIsRefused cuts compressed bodies after
// each byte, changes each byte, and puts something behind the end.
func TestABodyThatIsNotWhatItsCodingSaysIsRefused(t *testing.T) {
	n := start(t, setup{})
	for _, c := range compressors {
		whole := c.compress(t, strings.TrimSpace(encode(t, newEvent("a", "1"))))
		for i := range len(whole) {
			refused(t, n.publishCompressed(c.name, whole[:i]), http.StatusBadRequest, "malformed")
		}
		for _, tail := range []string{"\x00", "\x00\x00\x00\x00", "garbage", "\r\n", whole[:len(whole)-1], "{}"} {
			refused(t, n.publishCompressed(c.name, whole+tail), http.StatusBadRequest, "malformed")
		}
		for i := len(whole) - 4; i < len(whole); i++ { // in the checksum or the size
			changed := []byte(whole)
			changed[i] ^= 1
			refused(t, n.publishCompressed(c.name, string(changed)), http.StatusBadRequest, "malformed")
		}
		refused(t, n.publishCompressed(c.name, encode(t, newEvent("a", "1"))), http.StatusBadRequest, "malformed")
		refused(t, n.publishCompressed(c.name, c.compress(t, whole)), http.StatusBadRequest, "malformed")
	}
	refused(t, n.publishCompressed("gzip", zstdWhole(t, "[]")), http.StatusBadRequest, "malformed")
	refused(t, n.publishCompressed("zstd", gzipped(t, "[]")), http.StatusBadRequest, "malformed")
	n.requireUntouched()
	require.Zero(t, n.server.InFlightBodies())
}

func TestZstdOfALargeWindowOrWithADictionaryIsRefused(t *testing.T) {
	s := setup{}
	s.http.MaxBodyBytes = 16 << 20
	n := start(t, s)
	for name, body := range map[string]string{
		"window":                zstdOfWindow(t, "[]", 16<<20),
		"the largest window":    "\x28\xb5\x2f\xfd\x00\xff\x11\x00\x00[]",
		"dictionary":            "\x28\xb5\x2f\xfd\x01\x00\x07\x11\x00\x00[]",
		"a large single window": "\x28\xb5\x2f\xfd\xa0\x00\x00\xa0\x00\x11\x00\x00[]", // 10 MiB
	} {
		t.Run(name, func(t *testing.T) {
			n := n.on(t)
			refused(t, n.publishCompressed("zstd", body), http.StatusUnsupportedMediaType, "unsupported_encoding")
		})
	}
	require.Equal(t, http.StatusOK, n.publishCompressed("zstd", zstdOfWindow(t, "[]", 8<<20)).status)
	require.Equal(t, http.StatusOK, n.publishCompressed("zstd", "\x28\xb5\x2f\xfd\x00\x00\x11\x00\x00[]").status, "the form of the refused ones")
}

func TestTheLimitOfABodyHoldsForWhatItDecompressesTo(t *testing.T) {
	const limit = 100_000
	s := setup{}
	s.http.MaxBodyBytes = limit
	n := start(t, s)
	event := strings.TrimSpace(encode(t, newEvent("a", "1")))
	for _, c := range compressors {
		full := event + strings.Repeat(" ", limit-len(event))
		require.Equal(t, http.StatusOK, n.publishCompressed(c.name, c.compress(t, full)).status)
		a := n.publishCompressed(c.name, c.compress(t, full+" "))
		require.Contains(t, string(refused(t, a, http.StatusRequestEntityTooLarge, "body_too_large").Detail), "decompressed")
	}
	n.requireCounts(1, int64(len(compressors)-1))
	require.Zero(t, n.server.InFlightBodies())
}

// bombs are bodies of a few hundred kilobytes at most that decompress to a
// gigabyte.
func bombs(t testing.TB) map[string]string {
	t.Helper()
	const size, pieces = 1 << 20, 1 << 10
	zeros := strings.Repeat("\x00", size)
	blanks := strings.Repeat(" ", size)
	zeroBlock := "\x02\x00\x10\x00" // 128 KiB of one byte: not last, repeated
	return map[string]string{
		"gzip zeros":       strings.Repeat(gzipped(t, zeros), pieces),
		"gzip blanks":      strings.Repeat(gzipped(t, blanks), pieces),
		"gzip in gzip":     gzipped(t, strings.Repeat(gzipped(t, zeros), 16*pieces)),
		"zstd zeros":       strings.Repeat(zstdWhole(t, zeros), pieces),
		"zstd blanks":      strings.Repeat(zstdStreamed(t, blanks), pieces),
		"zstd repeats":     "\x28\xb5\x2f\xfd\x00\x68" + strings.Repeat(zeroBlock, 8*pieces),
		"zstd announced":   "\x28\xb5\x2f\xfd\xc0\x68\x00\x00\x00\x40\x00\x00\x00\x00" + strings.Repeat(zeroBlock, 8*pieces),
		"zstd large claim": "\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00\x00",
	}
}

// TestBombsTakeNoMoreThanTheLimits throws many of each kind at a server at
// once. What their bodies may take is what all bodies may take.
func TestBombsTakeNoMoreThanTheLimits(t *testing.T) {
	s := setup{sockets: true}
	s.http.MaxBodyBytes = 2 << 20
	s.http.MaxInFlightBodyBytes = 5 << 20
	n := start(t, s)
	bombs := bombs(t)
	var all sync.WaitGroup
	for name, bomb := range bombs {
		require.LessOrEqual(t, len(bomb), 2<<20, name)
		for range 6 {
			all.Go(func() {
				a, err := n.try("POST", "/publish", bomb, "Content-Encoding: "+name[:4])
				if err != nil || a.status != http.StatusRequestEntityTooLarge && a.status != http.StatusServiceUnavailable {
					t.Errorf("%s: %v %d %s", name, err, a.status, a.body)
				}
			})
		}
	}
	all.Wait()
	require.Zero(t, n.server.InFlightBodies(), "all is given back")
	for name, bomb := range bombs {
		a := n.publishCompressed(name[:4], bomb)
		refused(t, a, http.StatusRequestEntityTooLarge, "body_too_large")
	}
	n.requireUntouched()
	require.Equal(t, 1, n.publish(newEvent("a", "1")).Stored)
}
