package apptest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the path of the program under test, built once per run.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sekali-apptest-")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // nowhere else to say it
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // only a temporary directory
	binary = filepath.Join(dir, "sekali")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "sekali/cmd/sekali").CombinedOutput(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out) // as above
		return 1
	}
	return m.Run()
}
