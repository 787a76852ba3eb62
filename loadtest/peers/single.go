package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sekali/loadtest/peers/contender"
)

// runSingle runs one peer once and writes its result.
func runSingle(ctx context.Context, o *options) error {
	kinds, err := contender.Choose(o.single)
	if err != nil {
		return err
	}
	if len(kinds) != 1 {
		return fmt.Errorf("%q is not the name of one peer", o.single)
	}
	kind := kinds[0]
	if o.connections > 0 && kind.Connections > 1 {
		kind.Connections = o.connections
	}
	plan, err := o.plan()
	if err != nil {
		return err
	}
	result, err := contender.Run(ctx, kind, contender.Options{
		Environment: o.programs,
		Plan:        plan,
		Dir:         filepath.Join(o.work, kind.Name),
		Limit:       o.limit,
		Step:        o.step(),
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return os.WriteFile(o.result, text, 0o600)
}
