package actors

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"sekali"
)

// coreHarness drives a core as its actor would, with a naive store behind it.
type coreHarness struct {
	core     *core
	stored   map[string]sekali.Event // what a store would have on disk
	seqs     map[string]int64
	lastSeq  int64
	underWay []*sekali.Event

	open    map[*ingestPart]bool // parts without an answer
	counted effects
}

func newCoreHarness(cacheEntries int64) *coreHarness {
	return &coreHarness{
		core:   newCore(&seenBudget{limit: cacheEntries}),
		stored: make(map[string]sekali.Event), seqs: make(map[string]int64), open: make(map[*ingestPart]bool),
	}
}

func event(id string, content int) sekali.Event {
	return sekali.Event{Topic: "t", ID: id, Source: "s", Timestamp: "2025-10-24T10:30:00Z", Payload: fmt.Appendf(nil, `{"v":%d}`, content)}
}

func newPart(events ...sekali.Event) *ingestPart {
	p := &newIngestRequest(events).parts[0]
	p.topic = &topicEntry{name: p.name()}
	return p
}

// offer gives a part to the core and returns it.
func (h *coreHarness) offer(events ...sekali.Event) *ingestPart {
	p := newPart(events...)
	h.open[p] = true
	h.core.offer(p, time.Time{})
	h.collect()
	return p
}

// begin takes the next batch, as a committer would.
func (h *coreHarness) begin() bool {
	events, _ := h.core.takeBatch()
	if events == nil {
		return false
	}
	h.underWay = events
	return true
}

// commit stores the batch under way; the store judges.
func (h *coreHarness) commit() {
	decisions := make([]sekali.Decision, len(h.underWay))
	for i, e := range h.underWay {
		if first, ok := h.stored[e.ID]; ok {
			decisions[i] = sekali.Decision{Seq: h.seqs[e.ID], Fingerprint: first.Fingerprint()}
			continue
		}
		h.lastSeq++
		h.stored[e.ID], h.seqs[e.ID] = *e, h.lastSeq
		decisions[i] = sekali.Decision{Stored: true, Seq: h.lastSeq}
	}
	h.underWay = nil
	h.core.committed(decisions, time.Time{})
	h.collect()
}

func (h *coreHarness) failBatch() {
	h.underWay = nil
	h.core.failBatch(sekali.ErrStorageFailed)
	h.collect()
}

func (h *coreHarness) collect() {
	e := h.core.takeEffects()
	h.counted.duplicates += e.duplicates
	h.counted.conflicts += e.conflicts
	h.counted.tallies = append(h.counted.tallies, e.tallies...)
	for _, p := range e.finished {
		if !h.open[p] {
			panic("a part was finished twice")
		}
		delete(h.open, p)
	}
}

func (h *coreHarness) answered(p *ingestPart) bool { return !h.open[p] }

func TestCoreAnswersNothingBeforeTheCommit(t *testing.T) {
	h := newCoreHarness(100)
	p := h.offer(event("a", 1))
	require.False(t, h.answered(p))
	require.True(t, h.begin())
	require.False(t, h.answered(p), "handing the batch to the committer is not a commit")
	h.commit()
	require.True(t, h.answered(p))
	require.Equal(t, []sekali.Result{{Outcome: sekali.OutcomeStored, Seq: 1}}, p.request.results)
}

func TestCoreLetsARepeatOfAnUndecidedIDWaitForItsFate(t *testing.T) {
	for _, fate := range []string{"committed", "failed"} {
		t.Run(fate, func(t *testing.T) {
			h := newCoreHarness(100)
			first := h.offer(event("a", 1))
			require.True(t, h.begin())
			repeat, other := h.offer(event("a", 1)), h.offer(event("a", 2))
			require.False(t, h.answered(repeat))
			require.False(t, h.begin(), "a repeat is not a batch of its own")
			if fate == "failed" {
				h.failBatch()
				for _, p := range []*ingestPart{first, repeat, other} {
					require.True(t, h.answered(p))
					require.ErrorIs(t, p.err, sekali.ErrStorageFailed)
				}
				require.Zero(t, h.counted.duplicates)
				retry := h.offer(event("a", 1))
				require.True(t, h.begin(), "what failed is not remembered")
				h.commit()
				require.Equal(t, sekali.OutcomeStored, retry.request.results[0].Outcome)
				return
			}
			h.commit()
			require.Equal(t, sekali.Result{Outcome: sekali.OutcomeDuplicate, Seq: 1}, repeat.request.results[0])
			require.Equal(t, sekali.Result{Outcome: sekali.OutcomeDuplicate, Seq: 1, Conflict: true}, other.request.results[0])
		})
	}
}

func TestCoreComparesARepeatWithTheStoredContentNotWithItsNeighbour(t *testing.T) {
	h := newCoreHarness(100)
	h.stored["a"], h.seqs["a"], h.lastSeq = event("a", 1), 7, 7 // committed, forgotten by memory
	differs, equal := h.offer(event("a", 2)), h.offer(event("a", 1))
	require.True(t, h.begin())
	h.commit()
	require.Equal(t, sekali.Result{Outcome: sekali.OutcomeDuplicate, Seq: 7, Conflict: true}, differs.request.results[0])
	require.Equal(t, sekali.Result{Outcome: sekali.OutcomeDuplicate, Seq: 7}, equal.request.results[0])
}

func TestCoreFinishesAPartWithItsLastEvent(t *testing.T) {
	h := newCoreHarness(100)
	h.offer(event("a", 1))
	require.True(t, h.begin())
	p := h.offer(event("a", 1), event("b", 1)) // a is under way, b forms the next batch
	h.failBatch()
	require.False(t, h.answered(p), "b has no fate yet, so the topic is still in use")
	require.True(t, h.begin())
	h.commit()
	require.True(t, h.answered(p))
	require.Error(t, p.err, "one event of it failed")
	require.Contains(t, h.stored, "b")
}

func TestCoreLimitsABatchAndFormsTheNextMeanwhile(t *testing.T) {
	h := newCoreHarness(100_000)
	var events []sekali.Event
	for i := range maxBatchEvents + 10 {
		events = append(events, event(fmt.Sprint(i), 1))
	}
	p := h.offer(events...)
	require.True(t, h.begin())
	require.Len(t, h.underWay, maxBatchEvents)
	require.False(t, h.begin(), "one batch is under way at a time")
	h.commit()
	require.False(t, h.answered(p))
	require.True(t, h.begin())
	require.Len(t, h.underWay, 10)
	h.commit()
	require.True(t, h.answered(p))
	require.False(t, h.begin())
}

// TestCoreAgreesWithANaiveSet drives the core with random sequences of offers,
// commits, failures and restarts, and holds every answer against a map.
func TestCoreAgreesWithANaiveSet(t *testing.T) {
	for _, cache := range []int64{1, 5, 1 << 20} {
		t.Run(fmt.Sprintf("with a cache of %d ids", cache), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			for round := range 200 {
				checkCoreAgainstModel(t, rand.New(rand.NewPCG(seed, uint64(round))), cache)
			}
		})
	}
}

func checkCoreAgainstModel(t *testing.T, rnd *rand.Rand, cache int64) {
	h := newCoreHarness(cache)
	var parts []*ingestPart
	for range 60 {
		switch rnd.IntN(6) {
		case 0, 1, 2:
			events := make([]sekali.Event, 1+rnd.IntN(5))
			for i := range events {
				events[i] = event(fmt.Sprint(rnd.IntN(12)), rnd.IntN(2))
			}
			parts = append(parts, h.offer(events...))
		case 3:
			h.begin()
		case 4:
			if h.underWay != nil {
				h.commit()
			}
		case 5:
			if h.underWay != nil && rnd.IntN(3) == 0 {
				h.failBatch()
			}
		}
	}
	for h.underWay != nil || h.begin() {
		h.commit()
	}
	require.Empty(t, h.open, "every part is answered")
	require.Empty(t, h.core.undecided)
	requireModelAnswers(t, h, parts)
}

// requireModelAnswers checks: per id one "stored" at most, every answer names
// the seq of the first write and marks a conflict exactly when the content
// differs from what is stored. Counts are those of the events decided.
func requireModelAnswers(t *testing.T, h *coreHarness, parts []*ingestPart) {
	storedAnswers := make(map[string]int)
	for _, p := range parts {
		for i, r := range p.request.results {
			e := p.request.events[i]
			first := h.stored[e.ID]
			switch r.Outcome {
			case sekali.OutcomeUnknown:
				require.Error(t, p.err, "an event without an outcome has an error")
			case sekali.OutcomeStored:
				storedAnswers[e.ID]++
				require.Equal(t, h.seqs[e.ID], r.Seq)
				require.Equal(t, first, e)
			case sekali.OutcomeDuplicate:
				require.Equal(t, h.seqs[e.ID], r.Seq)
				require.Equal(t, string(first.Payload) != string(e.Payload), r.Conflict)
			default:
				require.Fail(t, "impossible outcome", "%v", r.Outcome)
			}
		}
	}
	for id, n := range storedAnswers {
		require.Equal(t, 1, n, "id %s was answered stored %d times", id, n)
	}
	var tallied int64
	for _, tally := range h.counted.tallies {
		tallied += tally.Count
	}
	require.Equal(t, h.counted.duplicates, tallied)
}

func TestCoreFailAllAnswersEveryone(t *testing.T) {
	h := newCoreHarness(100)
	h.offer(event("a", 1), event("b", 1))
	require.True(t, h.begin())
	h.offer(event("b", 1), event("c", 1))
	h.offer(event("c", 2))
	h.core.failAll(errTopicRestarted)
	h.collect()
	require.Empty(t, h.open)
	require.False(t, h.begin())
}

func TestSeenCacheStaysInItsBudgetAndGivesItBack(t *testing.T) {
	budget := &seenBudget{limit: 100}
	caches := make([]*seenCache, 10)
	for i := range caches {
		caches[i] = &seenCache{budget: budget}
	}
	for i := range 5000 {
		c := caches[i%len(caches)]
		c.put(fmt.Sprint(i), seenID{seq: int64(i)})
		require.LessOrEqual(t, budget.used.Load(), budget.limit)
	}
	for _, c := range caches {
		c.release()
	}
	require.Zero(t, budget.used.Load())
}

func TestSeenCacheRemembersTheLatestIDs(t *testing.T) {
	c := &seenCache{budget: &seenBudget{limit: 1 << 30}}
	const n = 3 * maxTopicGeneration
	for i := range n {
		c.put(fmt.Sprint(i), seenID{seq: int64(i)})
	}
	for i := n - maxTopicGeneration; i < n; i++ {
		s, ok := c.get(fmt.Sprint(i))
		require.True(t, ok)
		require.Equal(t, int64(i), s.seq)
	}
	_, ok := c.get("0")
	require.False(t, ok, "the oldest generation is dropped")
}

// TestMemoryOfARequestIsNotKeptByTheIDsAndTopicsThatAreRemembered overwrites
// the memory in which a request's strings lay.
func TestMemoryOfARequestIsNotKeptByTheIDsAndTopicsThatAreRemembered(t *testing.T) {
	memory := []byte("topicid")
	text := unsafe.String(&memory[0], len(memory))
	c := &seenCache{budget: &seenBudget{limit: 10}}
	c.put(text[5:], seenID{seq: 7})
	a := newAdmission(Options{}.withDefaults())
	require.Nil(t, a.admit(newIngestRequest([]sekali.Event{eventOf(text[:5], "1")}).parts))
	copy(memory, "#######")
	s, ok := c.get("id")
	require.True(t, ok)
	require.EqualValues(t, 7, s.seq)
	require.Equal(t, "topic", a.topics["topic"].name)
}
