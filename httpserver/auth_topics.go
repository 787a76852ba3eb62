package httpserver

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"sekali"
	"sekali/access"
)

// knows reports whether the sender may learn what is not for strangers.
func (s *Server) knows(ctx *fasthttp.RequestCtx) bool { return !s.locked() || grantOf(ctx) != nil }

// spend charges a key for what its request made the server read: every event,
// taken or not, and a body that is none like one.
func spend(grant *access.Grant, batch *parsedBatch) error {
	if grant == nil {
		return nil
	}
	return grant.Spend(batch.total)
}

// keepToTopics refuses a batch with an event of a topic that its key is not
// for. To a lenient sender such an event is a faulty one: the others are taken.
func keepToTopics(grant *access.Grant, batch *parsedBatch, lenient bool) error {
	if grant == nil || !grant.Key().Restricted() {
		return nil
	}
	foreign := func(e sekali.Event) bool { return !grant.Key().MayTopic(e.Topic) }
	at := slices.IndexFunc(batch.events, foreign)
	switch {
	case at < 0:
		return nil
	case !lenient:
		return problem(sekali.CodeForbidden, "the key "+grant.Key().Name+" is not for the topic "+strconv.Quote(printable(batch.events[at].Topic))+"; nothing of the request was stored")
	}
	batch.faults = withForeign(batch, foreign)
	batch.events = slices.DeleteFunc(batch.events, foreign)
	return nil
}

// withForeign returns the faults of a batch, by rising index, with one for each
// foreign event.
func withForeign(batch *parsedBatch, foreign func(sekali.Event) bool) []fault {
	var all []fault
	events, faults := batch.events, batch.faults
	for i := range batch.total {
		own := 0
		for own < len(faults) && faults[own].index == i {
			own++
		}
		all, faults = append(all, faults[:own]...), faults[own:]
		if own > 0 {
			continue
		}
		if foreign(events[0]) {
			all = append(all, fault{index: i, field: "topic", typ: "topic_forbidden", msg: "The key is not for this topic"})
		}
		events = events[1:]
	}
	return all
}

// mayRead refuses what a key with topics of its own asks beyond them. An event
// that is not there and one that is not to be seen look alike.
func mayRead(ctx *fasthttp.RequestCtx, topic string) error {
	grant := grantOf(ctx)
	switch {
	case grant == nil || grant.Key().MayTopic(topic):
		return nil
	case topic == "":
		return problem(sekali.CodeForbidden, "the key "+grant.Key().Name+" is for some topics; name one of them, as ?topic=...")
	default:
		return problem(sekali.CodeForbidden, "the key "+grant.Key().Name+" is not for this topic; GET /topics lists those that it is for")
	}
}

// visibleTopics returns a page of the topics that a key is for.
func (s *Server) visibleTopics(ctx context.Context, grant *access.Grant, q sekali.TopicsQuery) ([]sekali.TopicStats, error) {
	if grant == nil || !grant.Key().Restricted() {
		return s.domain.Topics(ctx, q)
	}
	var visible []sekali.TopicStats
	for _, prefix := range outermost(grant.Key().TopicPrefixes) {
		page := sekali.TopicsQuery{After: max(q.After, lastBefore(prefix)), Limit: q.Limit - len(visible)}
		topics, err := s.domain.Topics(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range topics {
			if strings.HasPrefix(topics[i].Topic, prefix) {
				visible = append(visible, topics[i])
			}
		}
		if len(visible) == q.Limit {
			break
		}
	}
	return visible, nil
}

// outermost returns the prefixes in order, without those that begin with
// another one.
func outermost(prefixes []string) []string {
	var outer []string
	for _, p := range slices.Sorted(slices.Values(prefixes)) {
		if len(outer) == 0 || !strings.HasPrefix(p, outer[len(outer)-1]) {
			outer = append(outer, p)
		}
	}
	return outer
}

// lastBefore returns a text that no topic lies between and the prefix: that
// ends in the character before the prefix's last one, and then in the greatest
// there is, as long as a topic can be. It is valid UTF-8, which every store
// takes.
func lastBefore(prefix string) string {
	last, size := utf8.DecodeLastRuneInString(prefix)
	last--
	if last >= 0xd800 && last < 0xe000 { // the surrogates are no characters
		last = 0xd7ff
	}
	return prefix[:len(prefix)-size] + string(last) + strings.Repeat("\U0010ffff", sekali.MaxTopicBytes/utf8.UTFMax+1)
}
