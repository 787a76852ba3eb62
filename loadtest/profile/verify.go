package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"sekali/client"
	"sekali/loadtest/generator"
)

// sampleSize is how many events of each stream are read back.
const sampleSize = 50

// verify holds the server's counts against the answers, and a sample of the
// stored events against what was sent.
func (s *session) verify(ctx context.Context) error {
	unique, err := s.uniqueByRun(ctx)
	if err != nil {
		return fmt.Errorf("read the counts of the topics: %w", err)
	}
	for _, x := range s.sent {
		s.verifyCount(x, countOf(unique, x.stream.Run()))
		if err := s.verifySample(ctx, x); err != nil {
			return err
		}
	}
	return s.verifyTotals(ctx)
}

// stored is what a server has of a run.
type stored struct {
	count  int64
	topics int
}

// uniqueByRun counts what the server has of each run; the runs have no number
// of topics.
func (s *session) uniqueByRun(ctx context.Context) (map[generator.Run]stored, error) {
	sums := map[generator.Run]stored{}
	for topic, err := range s.client.Topics(ctx, client.TopicsQuery{}) {
		if err != nil {
			return nil, err
		}
		if run, ok := generator.ParseTopic(topic.Topic); ok {
			sum := sums[run]
			sums[run] = stored{sum.count + topic.Unique, sum.topics + 1}
		}
	}
	return sums, nil
}

func countOf(sums map[generator.Run]stored, r generator.Run) int64 {
	return sums[generator.Run{Key: r.Key, Gaps: r.Gaps}].count
}

// verifyCount compares what /topics says of a stream with the answers. Without
// a refusal both must agree. After one, the server may hold more than was
// acknowledged, as a refusal may leave open what was stored, but never less.
func (s *session) verifyCount(x *sent, unique int64) {
	key := x.stream.Run().Key
	switch {
	case unique < x.stored:
		s.problem("run %08x: %d events were acknowledged as stored, but /topics counts %d: %d are lost", key, x.stored, unique, x.stored-unique)
	case unique > int64(x.stream.Sent()):
		s.problem("run %08x: /topics counts %d events, but only %d were sent", key, unique, x.stream.Sent())
	case unique > x.stored && x.refused == 0:
		s.problem("run %08x: /topics counts %d events, but %d were acknowledged as stored", key, unique, x.stored)
	case unique > x.stored:
		s.uncertain = true
		s.remark("run %08x: %d events of refused requests were stored all the same, as a time-out may leave it open", key, unique-x.stored)
	}
}

// verifySample reads some events back. A stream with events that were refused
// and left out has no numbers that are known to be there.
func (s *session) verifySample(ctx context.Context, x *sent) error {
	if x.refused > 0 || x.stream.Sent() == 0 {
		return nil
	}
	run, rng := x.stream.Run(), rand.New(rand.NewPCG(s.Seed, uint64(x.stream.Run().Key)))
	for range sampleSize {
		n := rng.Uint64N(x.stream.Sent())
		e, err := s.client.Event(ctx, run.TopicOf(n), run.ID(n))
		if err != nil {
			return fmt.Errorf("read event %d of run %08x back: %w", n, run.Key, err)
		}
		if !bytes.Equal(e.Payload, generator.Payload(n)) {
			s.problem("event %d of run %08x came back changed: %.200s", n, run.Key, e.Payload)
		}
	}
	return nil
}

// verifyTotals compares the growth of /stats with the answers, when nobody else
// can have written.
func (s *session) verifyTotals(ctx context.Context) error {
	if s.server == nil {
		return nil
	}
	after, err := s.client.Stats(ctx)
	if err != nil {
		return fmt.Errorf("read the server's counts: %w", err)
	}
	var stored, duplicates int64
	for _, x := range s.sent {
		stored += x.stored
		duplicates += x.duplicates
	}
	grewUnique, grewDuplicates := after.UniqueProcessed-s.before.UniqueProcessed, after.DuplicateDropped-s.before.DuplicateDropped
	if !s.uncertain && (grewUnique != stored || grewDuplicates != duplicates) {
		s.problem("/stats grew by %d unique and %d duplicate events, but %d and %d were answered", grewUnique, grewDuplicates, stored, duplicates)
	}
	return nil
}

// holeMargin is how many of the last events of an earlier run are not counted
// on: when it was interrupted, some of them may be missing.
const holeMargin = 20_000

// known names the events that the server holds from earlier runs of load tests,
// leaving out runs with gaps, and those of which a sample is not there.
func (s *session) known(ctx context.Context) ([]generator.Known, error) {
	sums, err := s.uniqueByRun(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the topics: %w", err)
	}
	var all []generator.Known
	for run, sum := range sums {
		if run.Gaps || sum.count == 0 {
			continue
		}
		run.Topics = sum.topics
		k := generator.Known{Run: run, Count: uint64(sum.count)}
		if k.Count > 2*holeMargin {
			k.Count -= holeMargin
		}
		if complete, err := s.complete(ctx, k); err != nil {
			return nil, err
		} else if complete {
			all = append(all, k)
		}
	}
	return all, nil
}

// complete reports that a sample of a run's events is there.
func (s *session) complete(ctx context.Context, k generator.Known) (bool, error) {
	rng := rand.New(rand.NewPCG(uint64(k.Run.Key), k.Count))
	for i := range uint64(sampleSize) {
		n := rng.Uint64N(k.Count)
		if i == 0 {
			n = k.Count - 1
		}
		_, err := s.client.Event(ctx, k.Run.TopicOf(n), k.Run.ID(n))
		if isNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for event %d of run %08x: %w", n, k.Run.Key, err)
		}
	}
	return true, nil
}

func countKnown(known []generator.Known) (sum uint64) {
	for _, k := range known {
		sum += k.Count
	}
	return sum
}

func isNotFound(err error) bool {
	refusal, ok := errors.AsType[*client.APIError](err)
	return ok && refusal.Status == http.StatusNotFound
}
