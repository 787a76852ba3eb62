package contender

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheAnswerIsReadAndItsOutcomesAreCounted(t *testing.T) {
	stored, duplicates, err := readAnswer([]byte(`{"status":"ok","accepted":3,"stored":2,"duplicates":1,"results":[`+
		`{"outcome":"stored","seq":1},{"outcome":"duplicate","seq":1},{"outcome":"stored","seq":2}]}`), 3)
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, []int{stored, duplicates})
}

func TestAnAnswerThatDoesNotAddUpIsAnError(t *testing.T) {
	for name, body := range map[string]string{
		"it is empty":               ``,
		"it lacks the counts":       `{"results":[{"outcome":"stored"}]}`,
		"it speaks of fewer events": `{"stored":1,"duplicates":0,"results":[{"outcome":"stored"}]}`,
		"its outcomes differ":       `{"stored":2,"duplicates":0,"results":[{"outcome":"stored"},{"outcome":"duplicate"}]}`,
		"it has no outcomes":        `{"stored":2,"duplicates":0}`,
		"it finds a conflict":       `{"stored":1,"duplicates":1,"results":[{"outcome":"stored"},{"outcome":"duplicate","seq":1,"conflict":true}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAnswer([]byte(body), 2)
			require.Error(t, err)
		})
	}
}
