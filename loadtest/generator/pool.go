package generator

import (
	"context"
	"fmt"
)

// Pool is a number of open connections to one server.
type Pool struct {
	Target Target
	conns  []*conn
}

// Dial opens connections.
func Dial(ctx context.Context, t Target, connections int) (*Pool, error) {
	p := &Pool{Target: t}
	for range connections {
		c, err := dial(ctx, t)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("connect to the server: %w", err)
		}
		p.conns = append(p.conns, c)
	}
	return p, nil
}

// Size is the number of connections.
func (p *Pool) Size() int { return len(p.conns) }

// Close closes the connections.
func (p *Pool) Close() {
	for _, c := range p.conns {
		c.close()
	}
}
