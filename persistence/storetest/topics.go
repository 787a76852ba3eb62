package storetest

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"sekali"
)

var topicTests = []test{
	{"topics come in bytewise order of their names, however odd", topicsInOrder},
	{"pages of topics join without gap or repetition", topicPages},
	{"topics after a name that does not exist start behind its place", topicsAfterAnyName},
	{"the listing has the counts of each topic", topicsHaveCounts},
	{"an unknown topic is not found", unknownTopic},
	{"an empty store has no topics", noTopics},
}

// oddNames are names that a store might confuse, reorder or mistake for syntax.
var oddNames = []string{
	"a", "A", "B", "b", "Z", "a ", " a", "a/b", "a//b", "/", "%", "%2F", "a%b", "_", "a_b", "*", "?", "a.b", "..", ".",
	"'", "''", `"`, "`", `\`, "'; drop table events; --", "1", "01", "1.0", "1e0", "0x1", "null", "NULL", "true", "-",
	"é", "e\u0301", "ü", "ß", "SS", "ſ", "İ", "i\u0307", "日本", "اختبار", "\u202eabc", "\ufeff", "\ufeffa", "a\u200b", "\u00a0",
	"😀", "👨‍👩‍👧", "\U0010ffff", "\uffff", "\ue000", "a\u0300\u0301",
	strings.Repeat("x", sekali.MaxTopicBytes), strings.Repeat("x", sekali.MaxTopicBytes-1) + "y",
	strings.Repeat("é", 127), strings.Repeat("日", 85), strings.Repeat("😀", 63),
}

func appendOddTopics(f *fixture) []string {
	f.Helper()
	var events []sekali.Event
	for _, name := range oddNames {
		events = append(events, event(name, "1"))
	}
	for _, d := range f.append(events...).Decisions {
		require.True(f, d.Stored, "every name is a topic of its own")
	}
	names := slices.Clone(oddNames)
	slices.Sort(names) // Go compares strings bytewise
	return names
}

func (f *fixture) topics(q sekali.TopicsQuery) []sekali.TopicStats {
	f.Helper()
	page, err := f.Topics(f.Context(), q)
	require.NoError(f, err)
	require.LessOrEqual(f, len(page), q.Limit)
	return page
}

func topicNames(list []sekali.TopicStats) []string {
	var names []string
	for _, t := range list {
		names = append(names, t.Topic)
	}
	return names
}

func topicsInOrder(f *fixture) {
	want := appendOddTopics(f)
	require.Equal(f, want, topicNames(f.topics(sekali.TopicsQuery{Limit: 1000})))
	f.reopen()
	require.Equal(f, want, topicNames(f.topics(sekali.TopicsQuery{Limit: len(want)})))
	require.EqualValues(f, len(want), f.totals().Topics)
}

func topicPages(f *fixture) {
	want := appendOddTopics(f)
	for _, limit := range []int{1, 2, 7, len(want) - 1} {
		var got []string
		q := sekali.TopicsQuery{Limit: limit}
		for range len(want) + 1 {
			page := topicNames(f.topics(q))
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			q.After = page[len(page)-1]
		}
		require.Equal(f, want, got, "pages of %d", limit)
	}
}

func topicsAfterAnyName(f *fixture) {
	f.append(event("b", "1"), event("d", "1"))
	require.Equal(f, []string{"b", "d"}, topicNames(f.topics(sekali.TopicsQuery{After: "a", Limit: 9})))
	require.Equal(f, []string{"d"}, topicNames(f.topics(sekali.TopicsQuery{After: "c", Limit: 9})))
	require.Equal(f, []string{"d"}, topicNames(f.topics(sekali.TopicsQuery{After: "b\xf4\x8f\xbf\xbf", Limit: 9})))
	require.Empty(f, f.topics(sekali.TopicsQuery{After: "d", Limit: 9}))
}

func topicsHaveCounts(f *fixture) {
	totalsAreSums(f)
	for _, t := range f.topics(sekali.TopicsQuery{Limit: 9}) {
		require.Equal(f, f.topic(t.Topic), t)
	}
}

func unknownTopic(f *fixture) {
	f.append(event("a", "1"))
	for _, name := range []string{"b", "A", "a ", "", "%", "_"} {
		_, err := f.Topic(f.Context(), name)
		require.Equal(f, sekali.CodeNotFound, sekali.CodeOf(err), "topic %q: %v", name, err)
	}
}

func noTopics(f *fixture) {
	require.Empty(f, f.topics(sekali.TopicsQuery{Limit: 9}))
	_, err := f.Topic(f.Context(), "a")
	require.Equal(f, sekali.CodeNotFound, sekali.CodeOf(err))
}
