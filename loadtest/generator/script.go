package generator

import (
	"fmt"
	"net/http"
)

// Script makes the requests of one connection and judges their answers.
type Script interface {
	// Next returns the request to send, valid until the next call; nil ends the
	// script.
	Next() []byte
	// Judge holds the answer against the request that Next returned last. It is
	// called once for each request that was answered.
	Judge(Answer) Judgement
}

// Judgement is what became of a request.
type Judgement struct {
	// Stored and Duplicates are the events that were acknowledged.
	Stored, Duplicates int
	// Refused says that the server was too busy and stored nothing.
	Refused bool
	// Problem is what was wrong with the answer.
	Problem error
}

// status judges an answer that is not 200.
func status(a Answer) Judgement {
	if a.Status != http.StatusTooManyRequests && a.Status != http.StatusServiceUnavailable {
		return Judgement{Problem: fmt.Errorf("HTTP %d: %.200s", a.Status, a.Body)}
	}
	j := Judgement{Refused: true}
	if !a.RetryAfter {
		j.Problem = fmt.Errorf("a refusal with HTTP %d has no Retry-After: %.200s", a.Status, a.Body)
	}
	return j
}
