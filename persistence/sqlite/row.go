package sqlite

import (
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"
)

// eventRow is a row of the events table, with the name of its topic. When it
// comes from a query, its texts and payload are valid until the next row.
type eventRow struct {
	seq, topic             int64
	topicName              string
	id, source, timestamp  string
	eventTime, processedAt int64
	batch                  int64
	payload                []byte
}

// errRowDamaged says that a row is not what was written.
var errRowDamaged = errors.New("the row's checksum does not fit its content")

// checksum is the xxh64 of everything in the row, each part behind its length:
// the database's pages have no checksum of their own. buffer is scratch space
// and is returned for the next call.
func (r *eventRow) checksum(buffer []byte) (int64, []byte) {
	le := binary.LittleEndian
	b := buffer[:0]
	for _, n := range [...]int64{r.seq, r.eventTime, r.processedAt, r.batch} {
		b = le.AppendUint64(b, uint64(n))
	}
	for _, s := range [...]string{r.topicName, r.id, r.source, r.timestamp} {
		b = append(le.AppendUint32(b, uint32(len(s))), s...)
	}
	b = append(le.AppendUint32(b, uint32(len(r.payload))), r.payload...)
	return int64(xxhash.Sum64(b)), b
}
