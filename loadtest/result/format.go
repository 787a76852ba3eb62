package result

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// FormatCount writes n with commas between groups of three digits.
func FormatCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// FormatMs writes a time in milliseconds with three significant digits and a
// unit that suits it.
func FormatMs(ms float64) string {
	switch {
	case ms < 1:
		return significant(ms*1000, 3) + " µs"
	case ms < 1000:
		return significant(ms, 3) + " ms"
	default:
		return significant(ms/1000, 3) + " s"
	}
}

// FormatDuration writes a latency as FormatMs does.
func FormatDuration(d time.Duration) string {
	return FormatMs(float64(d) / float64(time.Millisecond))
}

// FormatNumber writes x with three significant digits, and from 1,000 on as a
// whole number in groups. What is no finite number is a dash.
func FormatNumber(x float64) string { return formatDigits(x, 3) }

// Format writes the figure of the goal so that it does not look like its target
// unless it is the same.
func (g Goal) Format() string {
	for digits := 3; digits < 8; digits++ {
		figure, target := formatDigits(g.Figure, digits), formatDigits(g.Target, digits)
		if figure != target || g.Figure == g.Target {
			return withUnit(figure, g.Unit)
		}
	}
	return withUnit(strconv.FormatFloat(g.Figure, 'g', -1, 64), g.Unit)
}

// FormatTarget writes what the figure must reach, such as ">= 0.95".
func (g Goal) FormatTarget() string {
	return g.comparison() + " " + withUnit(formatDigits(g.Target, 7), g.Unit)
}

func (g Goal) comparison() string {
	if g.AtMost {
		return "<="
	}
	return ">="
}

func formatDigits(x float64, n int) string {
	switch {
	case !finite(x):
		return "-"
	case math.Abs(x) >= 1000:
		return FormatCount(int64(math.Round(x)))
	default:
		return significant(x, n)
	}
}

// significant writes x with n digits that count, without trailing zeros.
func significant(x float64, n int) string {
	decimals := n - len(strconv.FormatInt(int64(math.Abs(x)), 10))
	if a := math.Abs(x); a > 0 && a < 1 {
		decimals = n - 1 - int(math.Floor(math.Log10(a)))
	}
	s := strconv.FormatFloat(x, 'f', min(max(0, decimals), 9), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func withUnit(number, unit string) string {
	if unit == "" {
		return number
	}
	return number + " " + unit
}
