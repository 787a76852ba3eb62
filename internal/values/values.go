// Package values has the battery of values: what senders send, well-meant and
// otherwise, each with what has to become of it. It is data, so that every way
// into the system and every store can be held against the same: battery.txt,
// whose head describes its form.
package values

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed battery.txt
var battery string

// Value is one entry of the battery.
type Value struct {
	Line int // in battery.txt
	// Field is the member of an event that Raw stands for, or "body" when Raw is
	// a whole request.
	Field string
	// Raw is JSON, or not, as it is sent. Other is a second value of the same
	// field, with Same telling whether it is the same in the eyes of the gate;
	// only pairs have one.
	Raw, Other string
	Pair, Same bool

	// Of what is taken, how many events are stored and how many are duplicates;
	// for a timestamp the instant that it stands for.
	Stored, Duplicates int
	Instant            time.Time

	// Of what is refused, the HTTP status, and the code (status 400), or the type
	// of the first fault and its place, like "body.topic" (status 422).
	Status int
	Type   string
	Loc    string
}

// Accepted reports whether the value is to be taken.
func (v *Value) Accepted() bool { return v.Status == 0 }

// Topic and ID are those of the value's event where its field is another one.
// No two values share both.
func (v *Value) Topic() string { return "t" + strconv.Itoa(v.Line) }

// ID returns the event id; see Topic.
func (v *Value) ID() string { return "e" + strconv.Itoa(v.Line) }

// Member returns the member of the value's event as JSON: Raw for its own field.
func (v *Value) Member(field string) string {
	switch field {
	case v.Field:
		return v.Raw
	case "topic":
		return `"` + v.Topic() + `"`
	case "event_id":
		return `"` + v.ID() + `"`
	case "timestamp":
		return `"2025-10-24T10:30:00Z"`
	case "source":
		return `"battery"`
	}
	return `{}`
}

// Fields are the members of an event, in the order in which Body writes them.
var Fields = [...]string{"topic", "event_id", "timestamp", "source", "payload"}

// Body returns the request that sends the value.
func (v *Value) Body() string {
	if v.Field == "body" {
		return v.Raw
	}
	return "{" + v.members() + "}"
}

func (v *Value) members() string {
	members := make([]string, len(Fields))
	for i, field := range Fields {
		members[i] = `"` + field + `":` + v.Member(field)
	}
	return strings.Join(members, ",")
}

// Swapped returns a pair with its two values exchanged.
func (v *Value) Swapped() *Value {
	other := *v
	other.Raw, other.Other = v.Other, v.Raw
	return &other
}

// Outcome is what became of a value that was sent.
type Outcome struct {
	Stored, Duplicates int    // of what was taken
	Status             int    // of what was refused, otherwise 0
	Type, Loc          string // as in Value
}

// Verify returns what is not as it has to be, or nil.
func (v *Value) Verify(got Outcome) error {
	want := Outcome{v.Stored, v.Duplicates, v.Status, v.Type, v.Loc}
	if got != want {
		return fmt.Errorf("battery.txt:%d: %s %.200q: got %+v, want %+v", v.Line, v.Field, v.Raw, got, want)
	}
	return nil
}

// Battery returns all values, in the order of the file.
func Battery() ([]*Value, error) { return parse(battery) }

func parse(text string) (list []*Value, err error) {
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		v := &Value{Line: i + 1}
		if err := v.parse(line); err != nil {
			return nil, fmt.Errorf("battery.txt:%d: %w", i+1, err)
		}
		list = append(list, v)
	}
	return list, nil
}

func (v *Value) parse(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	if word == "same" || word == "differ" {
		v.Pair, v.Same = true, word == "same"
		v.Field, rest, _ = strings.Cut(rest, " ")
		if v.Raw, rest, err = v.quoted(rest); err != nil {
			return err
		}
		v.Other, rest, err = v.quoted(rest)
		v.Stored = 1
		return errors.Join(err, nothing(rest))
	}
	v.Field = word
	if v.Raw, rest, err = v.quoted(rest); err != nil {
		return err
	}
	return v.expectation(strings.Fields(rest))
}

func nothing(rest string) error {
	if strings.TrimSpace(rest) != "" {
		return fmt.Errorf("%q is too much", rest)
	}
	return nil
}

// quoted takes a string, quoted as in Go, off a line and fills in its ${...}.
func (v *Value) quoted(line string) (value, rest string, err error) {
	line = strings.TrimLeft(line, " ")
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", "", fmt.Errorf("%q does not begin with a quoted string: %w", line, err)
	}
	value, err = strconv.Unquote(quoted)
	if err != nil {
		return "", "", err
	}
	value, err = v.expand(value)
	return value, line[len(quoted):], err
}

var token = regexp.MustCompile(`(?s)\$\{(\d+\*\}|[^}]*)\}`)

func (v *Value) expand(value string) (string, error) {
	var failed error
	expanded := token.ReplaceAllStringFunc(value, func(found string) string {
		name := found[2 : len(found)-1]
		if name == "members" {
			return (&Value{Line: v.Line}).members()
		}
		if id, ok := strings.CutPrefix(name, "event "); ok {
			return "{" + (&Value{Line: v.Line, Field: "event_id", Raw: `"` + id + `"`}).members() + "}"
		}
		count, text, _ := strings.Cut(name, "*")
		n, err := strconv.Atoi(count)
		if err != nil {
			failed = fmt.Errorf("%s stands for nothing", found)
			return ""
		}
		return strings.Repeat(text, n)
	})
	return expanded, failed
}

// expectation reads "stored", "stored <instant>", "stored n", "stored n
// duplicates m" or "refused status type [loc]".
func (v *Value) expectation(words []string) (err error) {
	switch {
	case len(words) == 1 && words[0] == "stored":
		v.Stored = 1
	case len(words) == 2 && words[0] == "stored" && v.Field == "timestamp":
		v.Stored = 1
		v.Instant, err = time.Parse(time.RFC3339Nano, words[1])
	case len(words) == 2 && words[0] == "stored":
		v.Stored, err = strconv.Atoi(words[1])
	case len(words) == 4 && words[0] == "stored" && words[2] == "duplicates":
		_, err = fmt.Sscan(words[1]+" "+words[3], &v.Stored, &v.Duplicates)
	case len(words) >= 3 && words[0] == "refused":
		v.Status, err = strconv.Atoi(words[1])
		v.Type, v.Loc = words[2], strings.Join(words[3:], " ")
	default:
		return fmt.Errorf("%q is no expectation", words)
	}
	return err
}
