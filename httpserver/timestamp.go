package httpserver

import "time"

// The years that a timestamp may lie in. Nanoseconds since 1970 in 64 bits
// reach from 1678 to 2262; nothing real is near either end.
const (
	minYear = 1970
	maxYear = 2200
)

// parseTimestamp reads ISO 8601 / RFC 3339: date, T or a blank, hours and
// minutes, seconds with a fraction after a dot if wanted, and a zone; without
// a zone it is UTC. Written here because time.Parse takes ",5" fractions,
// one-digit hours and zones of 24 hours, and no leap second. A second of 60 is
// stored as the last nanosecond before. The reason is "" on success.
func parseTimestamp(s string) (t time.Time, reason string) {
	const short = "2006-01-02T15:04"
	if len(s) > 64 {
		return t, "it is longer than 64 bytes"
	}
	if len(s) < len(short) || s[4] != '-' || s[7] != '-' || s[13] != ':' || (s[10] != 'T' && s[10] != 't' && s[10] != ' ') {
		return t, "it should begin like 2025-10-24T10:30"
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return t, "it should have digits where 2025-10-24T10:30 has them"
	}
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 {
		return t, "there is no such day or time of day"
	}
	second, nanos, rest, reason := parseSeconds(s[len(short):])
	if reason != "" {
		return t, reason
	}
	offset, reason := parseZone(rest)
	if reason != "" {
		return t, reason
	}
	clock := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second - offset
	t = time.Unix(daysSince1970(year, month, day)*secondsPerDay+int64(clock/time.Second), int64(nanos)).UTC()
	if t.Before(earliest) || !t.Before(latest) {
		return t, "its year should be from 1970 to 2200"
	}
	return t, ""
}

const secondsPerDay = 24 * 60 * 60

var (
	earliest = time.Date(minYear, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(maxYear+1, 1, 1, 0, 0, 0, 0, time.UTC) // no more
)

// daysBefore is how many days of a year, not a leap year, lie before a month.
var daysBefore = [...]int{1: 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int) int {
	if month == 2 && isLeap(year) {
		return 29
	}
	return daysBefore[month+1] - daysBefore[month]
}

// daysSince1970 counts whole years, the leap days before this one, and the
// days of this one. time.Date does the same and takes three times as long.
func daysSince1970(year, month, day int) int64 {
	y := year - 1
	const leapDays = 1969/4 - 1969/100 + 1969/400
	days := (year-1970)*365 + y/4 - y/100 + y/400 - leapDays + daysBefore[month] + day - 1
	if month > 2 && isLeap(year) {
		days++
	}
	return int64(days)
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// parseSeconds reads ":SS" and ".fraction", both optional.
func parseSeconds(s string) (second, nanos int, rest, reason string) {
	if s == "" || s[0] != ':' {
		return 0, 0, s, ""
	}
	if len(s) < 3 {
		return 0, 0, "", "its seconds should have two digits"
	}
	second, ok := digits(s[1:3])
	if !ok || second > 60 {
		return 0, 0, "", "its seconds should be from 00 to 60"
	}
	rest = s[3:]
	if rest != "" && rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			if n <= 9 {
				nanos = nanos*10 + int(rest[n]-'0')
			}
			n++
		}
		if n == 1 {
			return 0, 0, "", "its fraction should have digits"
		}
		for i := n; i <= 9; i++ {
			nanos *= 10
		}
		rest = rest[n:]
	}
	if second == 60 {
		return 59, 999_999_999, rest, ""
	}
	return second, nanos, rest, ""
}

// parseZone reads "", Z, or an offset as +HH:MM, +HHMM or +HH.
func parseZone(s string) (offset time.Duration, reason string) {
	const bad = "its zone should be Z or like +02:00"
	switch {
	case s == "" || s == "Z" || s == "z":
		return 0, ""
	case s[0] != '+' && s[0] != '-':
		return 0, bad
	}
	sign, s := s[0], s[1:]
	minutes := "00"
	switch {
	case len(s) == 5 && s[2] == ':':
		minutes = s[3:]
	case len(s) == 4:
		minutes = s[2:]
	case len(s) != 2:
		return 0, bad
	}
	h, ok1 := digits(s[:2])
	m, ok2 := digits(minutes)
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, bad
	}
	offset = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if sign == '-' {
		offset = -offset
	}
	return offset, ""
}
