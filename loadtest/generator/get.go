package generator

import "net/http"

// Get is a Script that reads.
type Get struct {
	Target Target
	// Path returns the next path, with its query.
	Path func() string
	// Check holds the body of an answer against the path that was asked for.
	Check func(body []byte) error
}

// Next implements Script.
func (g *Get) Next() []byte { return g.Target.head("GET", g.Path(), 0) }

// Judge implements Script.
func (g *Get) Judge(a Answer) Judgement {
	if a.Status != http.StatusOK {
		return status(a)
	}
	return Judgement{Problem: g.Check(a.Body)}
}
