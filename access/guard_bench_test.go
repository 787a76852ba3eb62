package access_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/access"
)

// BenchmarkAuthenticate is what each request pays for its key.
func BenchmarkAuthenticate(b *testing.B) {
	for _, keys := range []int{1, 1000} {
		m := newMemory()
		var token access.Token
		for i := range keys {
			token = m.create(b, spec(fmt.Sprint(i), access.Publish))
		}
		g := newGuard(b, m, access.Options{})
		for name, text := range map[string]string{
			"right":        token.Reveal(),
			"wrong secret": token.Reveal()[:59] + "-",
			"unknown id":   "sek_000000000000" + token.Reveal()[16:],
		} {
			b.Run(fmt.Sprint(keys, " keys/", name), func(b *testing.B) {
				given := []byte(text)
				b.ReportAllocs()
				for b.Loop() {
					grant, err := g.Authenticate(given)
					if (name == "right") != (err == nil && grant != nil) {
						require.FailNow(b, "the wrong answer")
					}
				}
			})
		}
	}
}
