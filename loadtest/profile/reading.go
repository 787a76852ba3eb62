package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"

	"sekali/loadtest/generator"
)

// pageLimit is the size of the pages that are read.
const pageLimit = 100

// reader asks for one kind of thing and checks what comes back. One goroutine
// uses it.
type reader struct {
	known []generator.Known
	total int64 // events stored; seqs count from 1 without gaps
	rng   *rand.Rand
	asked int

	after int64         // of the page that was asked for
	topic string        // of the page or the event; "" for a page of all
	run   generator.Run // of the event
	n     uint64        // of the event
}

// readKind is a kind of request with its script.
type readKind struct {
	name  string
	path  func(*reader) string
	check func(*reader, []byte) error
}

var readKinds = []readKind{
	{"page of 100 by cursor", (*reader).pagePath, (*reader).checkPage},
	{"page of 100 by topic and cursor", (*reader).topicPath, (*reader).checkPage},
	{"one event by id", (*reader).eventPath, (*reader).checkEvent},
	{"/stats", (*reader).statsPath, (*reader).checkStats},
}

const (
	pageKind  = 0
	statsKind = 3
)

// script returns the script of a kind.
func (r *reader) script(t generator.Target, k readKind) generator.Script {
	return &generator.Get{
		Target: t,
		Path:   func() string { r.asked++; return k.path(r) },
		Check:  func(body []byte) error { return k.check(r, body) },
	}
}

// draw chooses a known event, each as likely as any other.
func (r *reader) draw() {
	at := r.rng.Uint64N(countKnown(r.known))
	for _, k := range r.known {
		if at < k.Count {
			r.run, r.n, r.topic = k.Run, at, k.Run.TopicOf(at)
			return
		}
		at -= k.Count
	}
}

func (r *reader) pagePath() string {
	r.topic = ""
	r.after = r.rng.Int64N(max(1, r.total-pageLimit))
	return fmt.Sprintf("/events?limit=%d&after=%d", pageLimit, r.after)
}

func (r *reader) topicPath() string {
	r.draw()
	r.after = r.rng.Int64N(max(1, r.total))
	return fmt.Sprintf("/events?topic=%s&limit=%d&after=%d", url.QueryEscape(r.topic), pageLimit, r.after)
}

func (r *reader) eventPath() string {
	r.draw()
	return "/topics/" + url.PathEscape(r.topic) + "/events/" + r.run.ID(r.n)
}

func (r *reader) statsPath() string { return "/stats" }

// fullCheck is how often a page is decoded; of each one its events are counted.
const fullCheck = 16

// checkPage counts the events of a page. A topic may have fewer behind the
// cursor than a page holds.
func (r *reader) checkPage(body []byte) error {
	events := bytes.Count(body, []byte(`"event_id":`))
	if r.topic == "" && events != pageLimit && r.total >= pageLimit || events > pageLimit {
		return fmt.Errorf("the page behind seq %d has %d events, not %d", r.after, events, pageLimit)
	}
	if r.asked%fullCheck != 0 {
		return nil
	}
	var page []struct {
		Topic   string
		Payload json.RawMessage
		Seq     int64
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return fmt.Errorf("the page behind seq %d is no list of events: %w", r.after, err)
	}
	last := r.after
	for _, e := range page {
		if e.Seq <= last || r.topic != "" && e.Topic != r.topic || len(e.Payload) == 0 {
			return fmt.Errorf("the page of topic %q behind seq %d has seq %d of topic %q behind %d", r.topic, r.after, e.Seq, e.Topic, last)
		}
		last = e.Seq
	}
	return nil
}

func (r *reader) checkEvent(body []byte) error {
	if !bytes.Contains(body, []byte(r.run.ID(r.n))) || !bytes.Contains(body, generator.Payload(r.n)) {
		return fmt.Errorf("event %d of run %08x came back changed: %.300s", r.n, r.run.Key, body)
	}
	return nil
}

func (r *reader) checkStats(body []byte) error {
	var stats struct {
		Received   int64
		Unique     int64 `json:"unique_processed"`
		Duplicates int64 `json:"duplicate_dropped"`
	}
	if err := json.Unmarshal(body, &stats); err != nil {
		return fmt.Errorf("/stats: %w", err)
	}
	if stats.Received != stats.Unique+stats.Duplicates || stats.Unique < r.total {
		return errors.New("/stats does not add up, or counts fewer events than before: " + string(body))
	}
	return nil
}
