package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// LossError says that the disk lost what was acknowledged: the log breaks off
// in front of transactions that had been synced, or the database ends before
// the high-water mark.
type LossError struct {
	Dir string
	// ID is what Options.AcceptLoss must be to go on without what was lost. It
	// stands for this loss alone.
	ID     string
	Report LogReport
	// Found is how far the database goes, nil when it was not opened because
	// the log alone proves the loss.
	Found *Mark
}

// Error says what is missing, as far as that is known.
func (e *LossError) Error() string {
	var parts []string
	if n := e.Report.LostCommits; n > 0 {
		parts = append(parts, fmt.Sprintf("the log %s-wal is damaged at byte %d, and at least %s behind that were on the disk",
			databaseFile, e.Report.validBytes(), count(n, "transaction")))
	}
	switch m, f := e.Report.Mark, e.Found; {
	case m == nil:
	case f == nil:
		parts = append(parts, "the last one noted was "+m.position())
	case m.database != f.database:
		parts = append(parts, fmt.Sprintf("%s was written for another database, which had come to %s: one of the two files was replaced", markName, m.position()))
	case f.behind(m):
		parts = append(parts, m.missing(f))
	}
	return fmt.Sprintf("acknowledged events are missing in %s: %s", e.Dir, strings.Join(parts, "; "))
}

// validBytes is where the part of the log ends that SQLite accepts.
func (r *LogReport) validBytes() int64 {
	return walHeaderBytes + r.Valid*(frameHeaderBytes+r.pageBytes)
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// behind reports whether a database that is as far as f lacks something that m
// has noted.
func (m *Mark) behind(noted *Mark) bool {
	return m.Batch < noted.Batch || m.Seq < noted.Seq || m.Repeats < noted.Repeats
}

// missing says what a database as far as found lacks of what m has noted.
func (m *Mark) missing(found *Mark) string {
	var parts []string
	if n := m.Batch - found.Batch; n > 0 {
		parts = append(parts, fmt.Sprintf("%s (%d to %d)", count(n, "transaction"), found.Batch+1, m.Batch))
	}
	if n := m.Seq - found.Seq; n > 0 {
		parts = append(parts, fmt.Sprintf("%s (seq %d to %d)", count(n, "event"), found.Seq+1, m.Seq))
	}
	if n := m.Repeats - found.Repeats; n > 0 {
		parts = append(parts, "the counts of "+count(n, "duplicate"))
	}
	text := "it lacks " + strings.Join(parts, " with ")
	if !found.At.IsZero() {
		text += ", stored after " + found.At.Format(time.RFC3339)
	}
	if !m.At.IsZero() {
		text += " and up to " + m.At.Format(time.RFC3339)
	}
	return text
}

func (m *Mark) position() string {
	text := fmt.Sprintf("transaction %d with event %d", m.Batch, m.Seq)
	if !m.At.IsZero() {
		text += " at " + m.At.Format(time.RFC3339)
	}
	return text
}

// lossID names what the log and the mark say at a start, so that a loss that is
// accepted is that one and no later one.
func (r *LogReport) lossID() string {
	b := binary.LittleEndian.AppendUint64(nil, r.salts)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Valid))
	if r.Mark != nil {
		b = r.Mark.appendSlot(b)
	}
	return fmt.Sprintf("%08x", uint32(xxhash.Sum64(b)))
}

// proven reports whether the log alone proves a loss. That of a relaxed store
// proves none: its transactions were not synced one by one.
func (r *LogReport) proven() bool {
	return r.LostCommits > 0 && (r.Mark == nil || !r.Mark.Relaxed)
}

// checkLoss returns a *LossError unless the database, which is as far as found,
// has all that was noted, or the loss was accepted: then lost is true. found
// is nil before the database is opened.
func checkLoss(dir string, r *LogReport, found *Mark, o Options) (lost bool, err error) {
	m := r.Mark
	noted := m != nil && found != nil && (m.database != found.database || found.behind(m))
	if !r.proven() && !noted {
		return false, nil
	}
	loss := &LossError{Dir: dir, ID: r.lossID(), Report: *r, Found: found}
	if o.AcceptLoss != loss.ID {
		return true, loss
	}
	return true, nil
}

// mostOfTransaction is how many events one transaction has at most: the
// committer puts no more into it.
const mostOfTransaction = 1000

// acceptLoss makes a store go on without what is missing. Numbers that were
// given to lost transactions and events are not given again: somebody may have
// read them.
func (s *Store) acceptLoss(ctx context.Context, r *LogReport) error {
	w := s.writer
	found := w.position()
	loss := &LossError{Dir: s.dir, ID: r.lossID(), Report: *r, Found: &found}
	s.log.Error("going on without acknowledged events, as --accept-loss says", "loss", loss.Error(), "id", loss.ID)
	var verdict string
	if err := w.db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict); err != nil {
		return fmt.Errorf("check what is left of the database: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("what is left of %s is not a whole database (%s): the loss cannot be accepted, restore a backup", databaseFile, verdict)
	}
	w.gaps = true
	// The log may prove more than a mark that a loss of power left behind, and
	// of transactions only how many they were.
	proven := found.Batch + r.LostCommits
	if m := r.Mark; m != nil && m.database == found.database {
		w.lastSeq, w.lastBatch = max(w.lastSeq, m.Seq), max(w.lastBatch, m.Batch)
	}
	if proven > w.lastBatch {
		w.lastSeq, w.lastBatch = w.lastSeq+(proven-w.lastBatch)*mostOfTransaction, proven
	}
	_, err := w.db.ExecContext(ctx, `insert into meta values (?, ?), ('floor', ?) on conflict (key) do update set value = excluded.value`,
		"loss "+loss.ID, time.Now().UTC().Format(time.RFC3339)+": "+loss.Error(), fmt.Sprintf("%d %d", w.lastSeq, w.lastBatch))
	if err != nil {
		return fmt.Errorf("note the accepted loss: %w", err)
	}
	return nil
}

// rowQuerier is what *sql.DB and *sql.Tx have in common for one row.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readFloor returns the last seq and batch that a lost part of the database had
// given, 0 when nothing was ever lost.
func readFloor(ctx context.Context, db rowQuerier) (seq, batch int64, err error) {
	var text string
	if err := db.QueryRowContext(ctx, "select coalesce(max(value), '0 0') from meta where key = 'floor'").Scan(&text); err != nil {
		return 0, 0, fmt.Errorf("read the numbers of lost events: %w", err)
	}
	if _, err := fmt.Sscanf(text, "%d %d", &seq, &batch); err != nil {
		return 0, 0, fmt.Errorf("read the numbers of lost events (%q): %w", text, err)
	}
	return seq, batch, nil
}
