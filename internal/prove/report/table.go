package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sekali/internal/prove"
)

// machine says where and when the results come from.
func machine(results []result) string {
	first, last := results[0].at, results[0].at
	for _, r := range results {
		if r.at.Before(first) {
			first = r.at
		}
		if r.at.After(last) {
			last = r.at
		}
	}
	days := first.UTC().Format(time.DateOnly)
	if until := last.UTC().Format(time.DateOnly); until != days {
		days += " to " + until
	}
	return fmt.Sprintf("%s, %d cores, %s, %s.\n\n", days, runtime.NumCPU(), kernel(), runtime.Version())
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(release))
}

// table returns the results as Markdown.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| row | test | found | took |\n|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", r.Row, testCell(&r.Result), foundCell(&r.Result), took(r.Seconds))
	}
	return b.String()
}

func testCell(r *prove.Result) string {
	name := "`" + r.Test + "`"
	if r.Control {
		name = "control: " + name
	}
	if r.Seed != 0 {
		name += fmt.Sprintf("<br>seed %d", r.Seed)
	}
	return name
}

func foundCell(r *prove.Result) string {
	if r.Skipped != "" {
		return "**did not run**: " + strings.ReplaceAll(r.Skipped, "|", `\|`)
	}
	var parts []string
	if !r.Passed {
		parts = append(parts, "**FAILED**")
	}
	for _, f := range r.Figures {
		parts = append(parts, strings.TrimSpace(f.Name+": "+number(f.Value)+" "+f.Unit))
	}
	return strings.Join(parts, "<br>")
}

func took(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case seconds == 0:
		return ""
	case d >= time.Minute:
		return d.Round(time.Second).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}

// number writes whole numbers with commas, others with three digits.
func number(v float64) string {
	if v != math.Trunc(v) || math.Abs(v) >= 1e15 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}
