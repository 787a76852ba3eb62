package result

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// WriteJSON writes the result as indented JSON. A figure that is not a finite
// number, such as the ratio to a rate of 0, is null there and NaN when it is
// read again.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the result as JSON: %w", err)
	}
	return nil
}

// Read reads what WriteJSON wrote.
func Read(from io.Reader) (*Result, error) {
	var r Result
	if err := json.NewDecoder(from).Decode(&r); err != nil {
		return nil, fmt.Errorf("read a result: %w", err)
	}
	if r.Profile == "" || r.Started.IsZero() {
		return nil, fmt.Errorf("read a result: this JSON is not one")
	}
	return &r, nil
}

// number is a float64 that JSON has as null when it is not finite.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(text []byte) error {
	*n = number(math.NaN())
	if string(text) == "null" {
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

type plainGoal Goal

// MarshalJSON implements json.Marshaler; it adds whether the goal was met.
func (g Goal) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainGoal
		Figure number `json:"figure"`
		Met    bool   `json:"met"`
	}{plainGoal(g), number(g.Figure), g.Met()})
}

// UnmarshalJSON implements json.Unmarshaler. Whether the goal was met follows
// from its figure; one that is missing meets nothing.
func (g *Goal) UnmarshalJSON(text []byte) error {
	v := struct {
		*plainGoal
		Figure number `json:"figure"`
	}{(*plainGoal)(g), number(math.NaN())}
	err := json.Unmarshal(text, &v)
	g.Figure = float64(v.Figure)
	return err
}

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name  string `json:"name"`
		Value number `json:"value"`
		Unit  string `json:"unit"`
	}{f.Name, number(f.Value), f.Unit})
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Figure) UnmarshalJSON(text []byte) error {
	type plain Figure
	v := struct {
		*plain
		Value number `json:"value"`
	}{(*plain)(f), number(math.NaN())}
	err := json.Unmarshal(text, &v)
	f.Value = float64(v.Value)
	return err
}

type plainLine Line

// MarshalJSON implements json.Marshaler; gaps are null.
func (l Line) MarshalJSON() ([]byte, error) {
	y := make([]number, len(l.Y))
	for i, v := range l.Y {
		y[i] = number(v)
	}
	return json.Marshal(struct {
		plainLine
		Y []number `json:"y"`
	}{plainLine(l), y})
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Line) UnmarshalJSON(text []byte) error {
	v := struct {
		*plainLine
		Y []number `json:"y"`
	}{plainLine: (*plainLine)(l)}
	err := json.Unmarshal(text, &v)
	l.Y = make([]float64, len(v.Y))
	for i, n := range v.Y {
		l.Y[i] = float64(n)
	}
	return err
}
