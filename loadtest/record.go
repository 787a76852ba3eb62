package loadtest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sekali"
	"sekali/client"
)

// requestState is how a request ended.
type requestState uint8

const (
	requestUnsent   requestState = iota // never reached a server
	requestAnswered                     // 200
	requestRefused                      // an answer that says that nothing was stored
	requestUnknown                      // may have been carried out
)

// requestRecord is the fate of one request. One worker writes it.
type requestRecord struct {
	state requestState
	// lost counts the attempts that had no final answer but may have been
	// carried out, be it in part.
	lost     uint16
	accepted int64 // as answered
	stored   int64
	dups     int64
	results  int32         // number of results in the answer
	end      time.Duration // since the start of the run
	latency  time.Duration // of the last attempt
}

// sendRecord is the answer for one send. One worker writes it.
type sendRecord struct {
	seq      int64
	outcome  sekali.Outcome
	conflict bool
}

// tally is what one worker counted.
type tally struct {
	latency  *hdrhistogram.Histogram // of each attempt that had a connection, in microseconds
	statuses map[string]int64        // by status, or "no answer", "no connection"
	attempts int64
	// garbled counts whole answers with status 200 that are not Sekali's;
	// lastGarbled is what was wrong with one.
	garbled     int64
	lastGarbled error
}

// maxLatency is the highest latency that is told apart, in microseconds.
const maxLatency = int64(10 * time.Minute / time.Microsecond)

func newTally() *tally {
	return &tally{latency: hdrhistogram.New(1, maxLatency, 3), statuses: map[string]int64{}}
}

// attempt counts an attempt and notes in the request's record what it may have
// left behind. An attempt that the run itself cancelled is no measurement.
func (t *tally) attempt(ctx context.Context, rec *requestRecord, answer client.Answer, err error) {
	if err != nil {
		rec.state = stateAfter(err)
		if rec.state == requestUnknown {
			rec.lost++
		}
		if ctx.Err() != nil && answer.Status == 0 {
			return
		}
	}
	if err != nil && answer.Status == 200 {
		t.garbled++
		t.lastGarbled = err
	}
	t.attempts++
	t.statuses[statusName(answer, err)]++
	if rec.state == requestUnsent && err != nil {
		return // A refused connection is fast and says nothing about the server's speed.
	}
	_ = t.latency.RecordValue(min(max(1, answer.Latency.Microseconds()), maxLatency)) // In range, so it cannot fail.
}

// stateAfter tells what a failed attempt can have done. Only an answer below
// 500 that is not a request to come back counts as a promise that nothing was
// stored.
func stateAfter(err error) requestState {
	if none, ok := errors.AsType[*client.NoAnswerError](err); ok && none.Unsent() {
		return requestUnsent
	}
	if client.Retryable(err) {
		return requestUnknown
	}
	return requestRefused
}

func statusName(answer client.Answer, err error) string {
	if answer.Status != 0 {
		return strconv.Itoa(answer.Status)
	}
	if none, ok := errors.AsType[*client.NoAnswerError](err); ok && none.Unsent() {
		return "no connection"
	}
	return "no answer"
}

// merge adds up the workers' tallies.
func merge(tallies []*tally) *tally {
	sum := newTally()
	for _, t := range tallies {
		sum.latency.Merge(t.latency)
		sum.attempts += t.attempts
		sum.garbled += t.garbled
		if t.garbled > 0 {
			sum.lastGarbled = t.lastGarbled
		}
		for status, n := range t.statuses {
			sum.statuses[status] += n
		}
	}
	return sum
}
