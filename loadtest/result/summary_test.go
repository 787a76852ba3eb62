package result_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/result"
)

// runOf is a run of a profile with one goal.
func runOf(profile string, figure float64, base string) *result.Result {
	return &result.Result{
		Profile: profile, Version: "1",
		Goals: []result.Goal{{Name: "rate / raw append", Figure: figure, Target: 0.35, Base: base}},
	}
}

func TestASummaryHasTheMedianTheSpreadAndTheBaseOfEachGoal(t *testing.T) {
	memory := runOf("sustained", 0.30, "low")
	memory.Goals = append(memory.Goals, result.Goal{Name: "memory", Figure: 300, Unit: "MB", Target: 256, AtMost: true})
	s := result.Summarize([]*result.Result{
		runOf("sustained", 0.41, "high"), memory, runOf("sustained", 0.38, "middle"), runOf("growth", 1.5, ""),
	})
	require.True(t, s.OK())
	require.Empty(t, s.Notes)
	require.Len(t, s.Goals, 3)
	rate := s.Goals[0]
	require.Equal(t, "sustained", rate.Profile)
	require.Equal(t, result.Goal{Name: "rate / raw append", Figure: 0.38, Target: 0.35, Base: "middle"}, rate.Goal)
	require.Equal(t, []float64{0.30, 0.38, 0.41}, rate.Figures)
	require.Equal(t, "2 of 3", rate.MetOf())
	require.Equal(t, "0.3 - 0.41", rate.Spread())
	require.Equal(t, "0 of 1", s.Goals[1].MetOf())
	require.Equal(t, "growth", s.Goals[2].Profile, "goals of the same name belong to their profiles")

	var text, markdown, json strings.Builder
	require.NoError(t, s.WriteText(&text))
	require.NoError(t, s.WriteMarkdown(&markdown))
	require.NoError(t, s.WriteJSON(&json))
	require.Contains(t, text.String(), "  sustained  rate / raw append    >= 0.35    0.38  0.3 - 0.41  2 of 3\n      middle\n")
	require.Contains(t, markdown.String(), "| `sustained` | rate / raw append | &gt;= 0.35 | 0.38 | 0.3 - 0.41 | 2 of 3 | middle |\n")
	require.Contains(t, json.String(), `"runs": 3`)
}

func TestARunWithoutAFigureCountsAsARunThatMissed(t *testing.T) {
	s := result.Summarize([]*result.Result{runOf("sustained", math.NaN(), ""), runOf("sustained", 0.5, "")})
	require.Equal(t, "1 of 2", s.Goals[0].MetOf())
	require.InDelta(t, 0.5, s.Goals[0].Goal.Figure, 0)

	s = result.Summarize([]*result.Result{runOf("sustained", math.Inf(1), "")})
	require.Equal(t, "0 of 1", s.Goals[0].MetOf())
	require.Equal(t, "-", s.Goals[0].Spread())
	var markdown strings.Builder
	require.NoError(t, s.WriteMarkdown(&markdown))
	require.Contains(t, markdown.String(), "| - | - | 0 of 1 |")
}

func TestASummarySaysWhatRunsDoNotHaveInCommonAndWhatWasWrong(t *testing.T) {
	a, b := runOf("sustained", 1, ""), runOf("sustained", 1, "")
	a.Options = []result.Option{{Name: "batch", Value: "100"}}
	b.Version, b.Machine.CPUs = "2", 64
	b.Problems = []string{"an event was lost | twice"}
	s := result.Summarize([]*result.Result{a, b})
	require.False(t, s.OK())
	require.Len(t, s.Notes, 3)
	require.Contains(t, s.Notes[0], "different versions: 1; 2")
	require.Contains(t, s.Notes[1], "different machines")
	require.Contains(t, s.Notes[2], "sustained have different options")
	var markdown, text strings.Builder
	require.NoError(t, s.WriteMarkdown(&markdown))
	require.NoError(t, s.WriteText(&text))
	require.Contains(t, markdown.String(), `- sustained: an event was lost \| twice`)
	require.Contains(t, text.String(), "sustained: an event was lost | twice")
}

func TestTheMedianIsInTheMiddle(t *testing.T) {
	require.InDelta(t, 2, result.Median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, result.Median([]float64{4, 1, 2, 3}), 0)
	require.True(t, math.IsNaN(result.Median(nil)))
}
