package actors

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
)

func TestARequestIsSplitByTopicInItsOrder(t *testing.T) {
	for _, topics := range []int{1, 2, maxScannedTopics, maxScannedTopics + 1, 100} {
		t.Run(fmt.Sprintf("over %d topics", topics), func(t *testing.T) {
			events := make([]sekali.Event, 300)
			wanted := make(map[string][]string)
			var order []string
			for i := range events {
				topic := fmt.Sprint("t", rand.IntN(topics))
				events[i] = eventOf(topic, fmt.Sprint(i))
				if wanted[topic] == nil {
					order = append(order, topic)
				}
				wanted[topic] = append(wanted[topic], events[i].ID)
			}
			r := newIngestRequest(events)
			require.Len(t, r.parts, len(order))
			var bytes int64
			for at := range r.parts {
				p := &r.parts[at]
				require.Equal(t, order[at], p.name())
				var ids []string
				for i := range p.len() {
					e := &r.events[p.slot(i)]
					ids = append(ids, e.ID)
					bytes += int64(e.Size())
				}
				require.Equal(t, wanted[order[at]], ids)
			}
			require.Equal(t, bytes, r.bytes)
		})
	}
}

// TestTheAdmissionChargesForARequestUntilItsLastPart: the events of all parts
// lie in the same memory.
func TestTheAdmissionChargesForARequestUntilItsLastPart(t *testing.T) {
	a := newAdmission(Options{}.withDefaults())
	r := newIngestRequest([]sekali.Event{eventOf("a", "1"), eventOf("a", "2"), eventOf("b", "1")})
	require.Nil(t, a.admit(r.parts))
	a.release(&r.parts[0])
	events, _ := a.inUse()
	require.Equal(t, 3, events)
	require.Len(t, a.takeIdle(a.topics["a"].lastUsed.Add(1), 10), 1, "the topic itself is idle")
	a.release(&r.parts[1])
	events, _ = a.inUse()
	require.Zero(t, events)
	require.Zero(t, a.bytes)
}
