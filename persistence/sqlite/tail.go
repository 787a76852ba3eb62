package sqlite

import (
	"context"
	"fmt"
)

// tailRows are checked at every start: an interrupted write shows in the newest
// rows first, and reading them takes some milliseconds.
const tailRows = 4096

// checkTail refuses a database whose newest events are not what was written.
// Of the others the judge checks each row that it reads, and 'sekali verify'
// every one.
func (s *Store) checkTail(ctx context.Context) error {
	const query = `select e.seq, e.topic_id, t.name, e.event_id, e.source, e.timestamp, e.event_time, e.processed_at, e.batch, e.checksum, e.payload
		from (select * from events order by seq desc limit ?) e left join topics t on t.id = e.topic_id order by e.seq`
	rows, err := s.readers.QueryContext(ctx, query, tailRows)
	if err != nil {
		return fmt.Errorf("check the newest events: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	var (
		before  eventRow
		scratch []byte
	)
	for rows.Next() {
		var (
			r   eventRow
			sum int64
		)
		if err := rows.Scan(&r.seq, &r.topic, &r.topicName, &r.id, &r.source, &r.timestamp, &r.eventTime, &r.processedAt, &r.batch, &sum, &r.payload); err != nil {
			return fmt.Errorf("check the event behind %d: %w", before.seq, err)
		}
		var actual int64
		if actual, scratch = r.checksum(scratch); actual != sum {
			return fmt.Errorf("event %d: %w; run 'sekali verify' to see what else is damaged, and restore a backup", r.seq, errRowDamaged)
		}
		if before.seq > 0 && r.seq != before.seq+1 && !s.writer.gaps {
			return fmt.Errorf("the events from %d to %d are missing; run 'sekali verify' to see what else is damaged, and restore a backup", before.seq+1, r.seq-1)
		}
		before = r
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check the newest events: %w", err)
	}
	return nil
}
