package sqlite

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// FindingKind says what kind of thing is wrong.
type FindingKind string

// What Verify can find, worst first.
const (
	FindingDatabase   FindingKind = "database"     // not a whole Sekali database of this version
	FindingPages      FindingKind = "pages"        // SQLite's own check of its pages fails
	FindingLog        FindingKind = "log"          // the log lost what was acknowledged
	FindingUnreadable FindingKind = "unreadable"   // rows that cannot be read
	FindingMissing    FindingKind = "missing"      // seqs without a row
	FindingDamaged    FindingKind = "damaged"      // rows that are not what was written
	FindingTwice      FindingKind = "stored_twice" // one id of a topic in several rows
	FindingInvalid    FindingKind = "invalid"      // values that the API would have refused
	FindingOrder      FindingKind = "order"        // transactions that are not in order
	FindingTopic      FindingKind = "topic"        // topics that are missing, empty or wrongly named
	FindingCounts     FindingKind = "counts"       // counts of a topic that its rows do not bear out
	FindingDuplicates FindingKind = "duplicates"   // rows of counted repeats that cannot be
	FindingIndex      FindingKind = "index"        // index files that do not fit the rows
	FindingBackup     FindingKind = "backup"       // a backup that is not what its manifest says
)

// advice says what to do about each kind.
var advice = map[FindingKind]string{
	FindingDatabase:   "restore a backup with 'sekali restore'",
	FindingPages:      "the disk or a program has changed the file: keep a copy of the directory, restore a backup, check the disk",
	FindingLog:        "acknowledged events are gone from the log: keep a copy of the directory, restore a backup, have the senders of that time send again, check the disk",
	FindingUnreadable: "keep a copy of the directory, restore a backup, check the disk",
	FindingMissing:    "acknowledged events are gone: keep a copy of the directory, restore a backup, have the senders of that time send again",
	FindingDamaged:    "keep a copy of the directory, restore a backup that verifies, check the disk and the memory of the machine",
	FindingTwice:      "events were counted twice: please report this with the output; consumers should take the row of the lower seq",
	FindingInvalid:    "a program other than the server wrote to the database: find it and restore a backup",
	FindingOrder:      "a program other than the server wrote to the database: find it and restore a backup",
	FindingTopic:      "a program other than the server wrote to the database: find it and restore a backup",
	FindingCounts:     "counts differ from the rows: look at the other findings first; restore a backup if there are none",
	FindingDuplicates: "the counts of repeats cannot be trusted, events are not concerned: restore a backup if you need them",
	FindingIndex:      "stop the server, remove the named files in index/ and start again: they are rebuilt from the events",
	FindingBackup:     "do not restore this backup: take a new one, and check the disk it lies on",
}

// order ranks the kinds for reports.
var order = []FindingKind{
	FindingDatabase, FindingPages, FindingLog, FindingUnreadable, FindingMissing, FindingDamaged, FindingTwice,
	FindingInvalid, FindingOrder, FindingTopic, FindingCounts, FindingDuplicates, FindingIndex, FindingBackup,
}

// maxExamples is how many examples of each kind are kept.
const maxExamples = 10

// Finding is one kind of thing that is wrong.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	Count    int64       `json:"count"`
	Examples []string    `json:"examples"` // the first ones, at most 10
	Advice   string      `json:"advice"`
}

// VerifyReport is what Verify saw.
type VerifyReport struct {
	Dir string `json:"dir"`

	Events       int64 `json:"events"` // rows read
	LastSeq      int64 `json:"last_seq"`
	LastBatch    int64 `json:"last_batch"` // number of the last transaction that stored events
	Topics       int64 `json:"topics"`
	Duplicates   int64 `json:"duplicates"` // counted repeats
	Conflicts    int64 `json:"conflicts"`
	IndexFiles   int   `json:"index_files"`
	IndexEntries int64 `json:"index_entries"`

	// AcceptedMissing is how many seqs have no row since their loss was accepted
	// (Options.AcceptLoss).
	AcceptedMissing int64 `json:"accepted_missing"`

	DatabaseBytes   int64 `json:"database_bytes"`
	LogBytes        int64 `json:"log_bytes"`
	LogTransactions int64 `json:"log_transactions"` // in the log, not in the database yet

	// Content sums up the rows of the events and of the counts, whatever files
	// they lie in; "" when they could not be read.
	Content Content `json:"content"`

	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`

	Findings []Finding `json:"findings"`
}

// Sound reports whether nothing was found.
func (r *VerifyReport) Sound() bool { return len(r.Findings) == 0 }

// add notes count things of a kind by one example.
func (r *VerifyReport) add(kind FindingKind, count int64, example string) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == kind })
	if i < 0 {
		i = len(r.Findings)
		r.Findings = append(r.Findings, Finding{Kind: kind, Advice: advice[kind]})
	}
	f := &r.Findings[i]
	f.Count += count
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, example)
	}
}

// finish brings the report into the form in which it is given.
func (r *VerifyReport) finish(took time.Duration) {
	r.Seconds = took.Seconds()
	r.EventsPerSecond = float64(r.Events) / r.Seconds
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
}

// sameStatement compares two statements but for white space and case.
func sameStatement(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
