package loadtest

import (
	"fmt"

	"sekali"
)

// Check is one thing that was verified.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// verdict is what verifying found.
type verdict struct {
	checks   []Check
	problems problems

	acknowledged, unknown, refused, unsent int64 // sends
	stored, duplicates                     int64 // as answered
	retriedLost                            int64 // sends in attempts without an answer
	statsDelta                             *statsDelta

	ids []idFate // by event number
}

// idFate is what the answers said about one id.
type idFate struct {
	seq    int64
	stored uint8 // answers "stored", at most 2 counted
	acked  bool
	// uncertain: an attempt with this id had no answer, so that "stored" may
	// have got lost on its way.
	uncertain bool
	listed    bool // found when reading back
}

// check runs fn and notes whether it found problems, and what it says.
func (v *verdict) check(name string, fn func() string) {
	before := v.problems.Count
	detail := fn()
	found := v.problems.Count - before
	if found > 0 {
		detail += "; " + countProblems(found)
	}
	v.checks = append(v.checks, Check{Name: name, OK: found == 0, Detail: detail})
}

// verifyAnswers holds every answer against the plan.
func (r *run) verifyAnswers() {
	v := &r.verdict
	v.ids = make([]idFate, r.plan.unique)
	v.check("answers", func() string {
		for i := range r.requests {
			r.checkRequest(i)
		}
		if n := r.tally.garbled; n > 0 {
			v.problems.addf("%d answers with status 200 were not in the API's form, such as: %v", n, r.tally.lastGarbled)
		}
		return fmt.Sprintf("%s of %s sends have one legal result each", group(v.acknowledged), group(int64(len(r.sends))))
	})
	v.check("exactly once", r.checkIDs)
}

func (r *run) checkRequest(i int) {
	v, rec := &r.verdict, &r.requests[i]
	from, to := r.plan.request(i)
	n := int64(to - from)
	v.retriedLost += int64(rec.lost) * n
	for _, k := range r.plan.sends[from:to] {
		v.ids[k].uncertain = v.ids[k].uncertain || rec.lost > 0
	}
	switch rec.state {
	case requestUnsent:
		v.unsent += n
	case requestUnknown:
		v.unknown += n
	case requestRefused:
		v.refused += n
	case requestAnswered:
		r.checkAnswer(i)
	}
}

// checkAnswer checks the form of an answer and collects its results by id.
func (r *run) checkAnswer(i int) {
	v, rec := &r.verdict, &r.requests[i]
	from, to := r.plan.request(i)
	if int(rec.results) != to-from {
		v.problems.addf("request %d: %d results for %d events", i, rec.results, to-from)
		v.unknown += int64(to - from)
		for _, k := range r.plan.sends[from:to] {
			v.ids[k].uncertain = true
		}
		return
	}
	var stored, duplicates int64
	for s := from; s < to; s++ {
		switch r.checkResult(s) {
		case sekali.OutcomeStored:
			stored++
		case sekali.OutcomeDuplicate:
			duplicates++
		}
	}
	if rec.accepted != stored+duplicates || rec.stored != stored || rec.dups != duplicates {
		v.problems.addf("request %d: accepted %d, stored %d, duplicates %d, but the results are %d stored and %d duplicates",
			i, rec.accepted, rec.stored, rec.dups, stored, duplicates)
	}
	v.acknowledged += stored + duplicates
	v.stored += stored
	v.duplicates += duplicates
}

// checkResult checks the result of send s and notes it for its id.
func (r *run) checkResult(s int) sekali.Outcome {
	v, result := &r.verdict, &r.sends[s]
	k := r.plan.sends[s]
	id := &v.ids[k]
	switch {
	case result.outcome != sekali.OutcomeStored && result.outcome != sekali.OutcomeDuplicate:
		v.problems.addf("%s: the outcome is %q", r.plan.idOf(int(k)), result.outcome)
		return result.outcome
	case result.seq < 1:
		v.problems.addf("%s: the seq is %d", r.plan.idOf(int(k)), result.seq)
	case id.acked && id.seq != result.seq:
		v.problems.addf("%s: answered with seq %d and with seq %d", r.plan.idOf(int(k)), id.seq, result.seq)
	}
	if result.conflict {
		v.problems.addf("%s: marked as a conflict, though every send has the same bytes", r.plan.idOf(int(k)))
	}
	id.acked, id.seq = true, result.seq
	if result.outcome == sekali.OutcomeStored && id.stored < 2 {
		id.stored++
	}
	return result.outcome
}

// checkIDs checks that of all answers for an id exactly one said "stored", and
// that no two ids share a seq.
func (r *run) checkIDs() string {
	v := &r.verdict
	seqs := make(map[int64]int, len(v.ids))
	acked := 0
	for k := range v.ids {
		id := &v.ids[k]
		if !id.acked {
			continue
		}
		acked++
		if id.stored > 1 {
			v.problems.addf("%s was answered \"stored\" more than once", r.plan.idOf(k))
		}
		if id.stored == 0 && !id.uncertain {
			v.problems.addf("%s was answered \"duplicate\" only", r.plan.idOf(k))
		}
		if other, taken := seqs[id.seq]; taken {
			v.problems.addf("%s and %s have the same seq %d", r.plan.idOf(k), r.plan.idOf(other), id.seq)
		}
		seqs[id.seq] = k
	}
	return fmt.Sprintf("%s ids, each with a seq of its own", group(int64(acked)))
}
