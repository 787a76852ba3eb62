package generator

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkBuildRequest(b *testing.B) {
	for _, events := range []int{1, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			s := NewStream(NewRun(1, 1, 10), events, 8, Repeats{Share: 0.1}, 1)
			p := NewPublisher(Target{host: "127.0.0.1:8080"}, s, 0, SendAgain)
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(len(p.Next())))
				s.settle(0)
			}
		})
	}
}

func BenchmarkJudgeAnswer(b *testing.B) {
	for _, events := range []int{1, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			results := strings.Repeat(`,{"outcome":"stored","seq":12345678}`, events)[1:]
			body := fmt.Appendf(nil, `{"status":"ok","accepted":%d,"stored":%d,"duplicates":0,"results":[%s]}`+"\n", events, events, results)
			expected := make([]expectation, events)
			var a publishAnswer
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if err := a.judge(body, expected); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseHead(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nServer: sekali\r\nDate: Fri, 24 Oct 2025 10:30:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 4000\r\nX-Request-Id: 0123456789abcdef\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseHead(head); err != nil {
			b.Fatal(err)
		}
	}
}
