package loadtest

import (
	"fmt"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bucket is a range of latencies and how many attempts fell into it.
type Bucket struct {
	FromMs float64 `json:"from_ms"`
	ToMs   float64 `json:"to_ms"`
	Count  int64   `json:"count"`
}

// bucketEdges divide each power of ten about evenly on a logarithmic scale.
var bucketEdges = [...]float64{1, 1.5, 2, 3, 5, 7}

// bucketsOf sorts the recorded values into logarithmic buckets, from the first
// to the last that holds one.
func bucketsOf(h *hdrhistogram.Histogram) []Bucket {
	var all []Bucket
	for decade := 1.0; decade <= float64(maxLatency); decade *= 10 {
		for i, edge := range bucketEdges {
			next := 10.0
			if i+1 < len(bucketEdges) {
				next = bucketEdges[i+1]
			}
			all = append(all, Bucket{FromMs: decade * edge / usPerMs, ToMs: decade * next / usPerMs})
		}
	}
	first, last, at := len(all), -1, 0
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for at < len(all)-1 && float64(bar.From) >= all[at].ToMs*usPerMs {
			at++
		}
		all[at].Count += bar.Count
		first, last = min(first, at), at
	}
	if last < 0 {
		return nil
	}
	return all[first : last+1]
}

// barWidth is how long the longest bar is, so that a line fits 80 columns.
const barWidth = 40

// drawHistogram writes one line per bucket. A bucket that is not empty has a
// visible bar.
func drawHistogram(out *strings.Builder, buckets []Bucket) {
	var most, total int64
	for _, b := range buckets {
		most = max(most, b.Count)
		total += b.Count
	}
	for _, b := range buckets {
		fmt.Fprintf(out, "  %8s - %-8s %-*s %8s %5.1f %%\n",
			formatMs(b.FromMs), formatMs(b.ToMs), barWidth, bar(b.Count, most),
			group(b.Count), 100*float64(b.Count)/float64(total))
	}
}

// bar draws count/most of barWidth in eighths of a column.
func bar(count, most int64) string {
	eighths := int(count * barWidth * 8 / max(most, 1))
	if count > 0 {
		eighths = max(eighths, 1)
	}
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}
