package generator

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Run is a set of events that nobody else sends: event n of a run has the same
// topic, id and content wherever it is built. Its topics carry its key, so that
// the events that a server holds can be named again without a list of them.
type Run struct {
	Key    uint32
	Topics int // 1 to MaxTopics; event n belongs to topic n % Topics
	// Gaps says that events may have been left out, so that its first ones are
	// not known to be stored. Its topics say so, too.
	Gaps bool
}

// MaxTopics is how many topics a run can have: their numbers have three digits.
const MaxTopics = 1000

// NewRun derives a run from a seed and what sets it apart from other runs with
// that seed.
func NewRun(seed, salt uint64, topics int) Run {
	return Run{Key: uint32(scramble(scramble(seed)+salt) >> 32), Topics: topics}
}

const (
	wholePrefix = "load."
	gapsPrefix  = "gaps." // as long as the other
	keyDigits   = 8
	idDigits    = 32
)

func (r Run) prefix() string {
	if r.Gaps {
		return gapsPrefix
	}
	return wholePrefix
}

// Topic returns the name of a topic, from 0.
func (r Run) Topic(i int) string { return fmt.Sprintf("%s%08x.%03d", r.prefix(), r.Key, i) }

// TopicOf returns the topic of event n.
func (r Run) TopicOf(n uint64) string { return r.Topic(int(n % uint64(r.Topics))) }

// ParseTopic returns the run that a topic belongs to, but for its number of
// topics; ok is false when it belongs to none.
func ParseTopic(name string) (r Run, ok bool) {
	digits, whole := strings.CutPrefix(name, wholePrefix)
	if !whole {
		digits, r.Gaps = strings.CutPrefix(name, gapsPrefix)
	}
	if !whole && !r.Gaps || len(digits) != keyDigits+4 || digits[keyDigits] != '.' {
		return Run{}, false
	}
	key, err := strconv.ParseUint(digits[:keyDigits], 16, 32)
	r.Key = uint32(key)
	return r, err == nil
}

// ID returns the id of event n.
func (r Run) ID(n uint64) string {
	var id [idDigits]byte
	r.putID(id[:], n)
	return string(id[:])
}

// putID writes the id of event n: 32 hexadecimal digits that have no order and
// are different for each n.
func (r Run) putID(dst []byte, n uint64) {
	var b [idDigits / 2]byte
	first := scramble(n ^ uint64(r.Key)<<32)
	binary.BigEndian.PutUint64(b[:8], first)
	binary.BigEndian.PutUint64(b[8:], scramble(first^uint64(r.Key)))
	hex.Encode(dst, b[:])
}

// scramble is SplitMix64, a one-to-one mapping.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
