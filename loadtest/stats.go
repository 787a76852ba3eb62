package loadtest

import (
	"fmt"

	"sekali/client"
)

// statsDelta is by how much the counts of /stats grew during the run.
type statsDelta struct {
	Received   int64 `json:"received"`
	Unique     int64 `json:"unique_processed"`
	Duplicates int64 `json:"duplicate_dropped"`
}

// checkStats compares the growth of the totals with the run. When others may
// write too, it may be more than the run's but not less. A server that was
// restarted in between may lack the duplicates of its last second.
func (r *run) checkStats(after client.Stats) string {
	v := &r.verdict
	d := statsDelta{
		Received:   after.Received - r.before.Received,
		Unique:     after.UniqueProcessed - r.before.UniqueProcessed,
		Duplicates: after.DuplicateDropped - r.before.DuplicateDropped,
	}
	v.statsDelta = &d
	unique := r.listed()
	least, most := v.acknowledged, v.acknowledged+v.retriedLost
	if d.Received != d.Unique+d.Duplicates {
		v.problems.addf("/stats: received grew by %d, but unique by %d and duplicates by %d", d.Received, d.Unique, d.Duplicates)
	}
	restarted := r.restarted(after)
	if d.Unique < unique || d.Received < least && !restarted {
		v.problems.addf("/stats: grew by %d received and %d unique, less than the run's %d and %d", d.Received, d.Unique, least, unique)
	}
	foreign := d.Unique > unique || d.Received > most
	if foreign && r.options.Exclusive {
		v.problems.addf("/stats: grew by %d received and %d unique, more than the run's %d and %d", d.Received, d.Unique, most, unique)
	}
	switch {
	case foreign && !r.options.Exclusive:
		return "the totals grew by the run's events and by those of other senders"
	case restarted:
		return fmt.Sprintf("the server was restarted; the totals grew by %s unique events", group(d.Unique))
	default:
		return fmt.Sprintf("the totals grew by %s received and %s unique events", group(d.Received), group(d.Unique))
	}
}

// listed is the number of the run's events that were read back.
func (r *run) listed() int64 {
	var n int64
	for k := range r.verdict.ids {
		if r.verdict.ids[k].listed {
			n++
		}
	}
	return n
}
