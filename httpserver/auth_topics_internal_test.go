package httpserver

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/prove"
)

// letters are those around which the order of bytes and the limits of UTF-8
// could be got wrong.
var letters = []string{" ", "!", "a", "b", "z", "~", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"}

// TestNoTopicIsBetweenAPrefixAndWhatIsLastBeforeIt tries topics that are close
// to a prefix, up to the longest there can be.
func TestNoTopicIsBetweenAPrefixAndWhatIsLastBeforeIt(t *testing.T) {
	random := rand.New(rand.NewPCG(prove.Seed(t), 0))
	text := func(most int) string {
		var b strings.Builder
		for range 1 + random.IntN(most) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	for range 20_000 {
		prefix := text(3)
		before := lastBefore(prefix)
		require.True(t, utf8.ValidString(before), "every store must take it")
		require.Less(t, before, prefix)
		topic := text(4)
		if random.IntN(2) == 0 { // as close below as can be
			last, size := utf8.DecodeLastRuneInString(prefix)
			if last > ' ' && utf8.ValidRune(last-1) {
				topic = prefix[:len(prefix)-size] + string(last-1) + strings.Repeat("\U0010ffff", random.IntN(64))
			}
		}
		if len(topic) <= sekali.MaxTopicBytes && topic < prefix {
			require.LessOrEqual(t, topic, before, "%q is left out for the prefix %q", topic, prefix)
		}
	}
}

func TestPrefixesInsideOthersAreNotAskedTwice(t *testing.T) {
	require.Equal(t, []string{"a.", "b"}, outermost([]string{"b", "a.b", "a.", "a.", "bc", "b"}))
	require.True(t, slices.IsSorted(outermost(letters)))
}
