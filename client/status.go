package client

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sekali"
)

// Stats are the server's counts. Received is UniqueProcessed plus
// DuplicateDropped.
type Stats struct {
	Received, UniqueProcessed, DuplicateDropped, Conflicts int64

	Topics          []string // the first 1,000 at most
	TopicsTotal     int64
	TopicsTruncated bool // Topics does not name all

	InFlight     int64 // events that wait for their commit
	ActiveTopics int64 // topics with an actor in memory
	Goroutines   int64
	Durability   string
	StartedAt    time.Time
	Uptime       time.Duration
}

// Health is the answer of a server that is alive.
type Health struct {
	Status  string // "ok"
	Version string
	Uptime  time.Duration
}

func readStats(d *jsontext.Decoder) (s Stats, err error) {
	found := false
	err = decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "received":
			found = true
			s.Received, err = readInt(d)
		case "unique_processed":
			s.UniqueProcessed, err = readInt(d)
		case "duplicate_dropped":
			s.DuplicateDropped, err = readInt(d)
		case "conflicts":
			s.Conflicts, err = readInt(d)
		case "topics":
			s.Topics, err = readStrings(d)
		case "topics_total":
			s.TopicsTotal, err = readInt(d)
		case "topics_truncated":
			s.TopicsTruncated, err = readBool(d)
		case "in_flight":
			s.InFlight, err = readInt(d)
		case "active_topics":
			s.ActiveTopics, err = readInt(d)
		case "goroutines":
			s.Goroutines, err = readInt(d)
		case "durability":
			s.Durability, err = readString(d)
		case "started_at":
			s.StartedAt, err = readTime(d)
		case "uptime_seconds":
			s.Uptime, err = readSeconds(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && !found {
		err = errors.New("the counts are missing; is this a Sekali server?")
	}
	return s, err
}

func readHealth(d *jsontext.Decoder) (h Health, err error) {
	err = decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "status":
			h.Status, err = readString(d)
		case "version":
			h.Version, err = readString(d)
		case "uptime_seconds":
			h.Uptime, err = readSeconds(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	return h, err
}

func readSeconds(d *jsontext.Decoder) (time.Duration, error) {
	seconds, err := readFloat(d)
	return time.Duration(seconds * float64(time.Second)), err
}

func readStrings(d *jsontext.Decoder) (list []string, err error) {
	err = decodeArray(d, func() error {
		s, err := readString(d)
		list = append(list, s)
		return err
	})
	return list, err
}

// decodeTopics reads the list out of {"topics": [...], "next": ...}; the Link
// header says where to go on.
func decodeTopics(d *jsontext.Decoder) (page []sekali.TopicStats, err error) {
	err = decodeObject(d, func(name []byte) error {
		if string(name) != "topics" {
			return d.SkipValue()
		}
		return decodeArray(d, func() error {
			t, err := readTopic(d)
			page = append(page, t)
			return err
		})
	})
	return page, err
}

func readTopic(d *jsontext.Decoder) (t sekali.TopicStats, err error) {
	err = decodeObject(d, func(name []byte) (err error) {
		switch string(name) {
		case "topic":
			t.Topic, err = readString(d)
		case "unique_processed":
			t.Unique, err = readInt(d)
		case "duplicate_dropped":
			t.Duplicates, err = readInt(d)
		case "conflicts":
			t.Conflicts, err = readInt(d)
		case "first_seen":
			t.FirstSeen, err = readTime(d)
		case "last_seen":
			t.LastSeen, err = readTime(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && t.Topic == "" {
		err = errors.New("a topic has no name")
	}
	return t, err
}
