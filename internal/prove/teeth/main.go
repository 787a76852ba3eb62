// Command teeth shows that the tests bite. It builds the module with one known
// bug at a time, by the compiler's -overlay so that the tree stays as it is, and
// runs the tests that should notice. Each bug has to make a test fail, and the
// same tests have to pass without it.
//
//	go run ./internal/prove/teeth [-bug NAME] [-out FILE]
//
// It exits with 1 when a bug goes unnoticed, does not fit the sources any more,
// or does not compile.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "teeth:", err) // nowhere else to say it
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("teeth", flag.ContinueOnError)
	only := flags.String("bug", "", "plant only the bug of this `name`")
	out := flags.String("out", "", "write the results to this `file` as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var bites []bite
	caught := 0
	for i := range bugs {
		if *only != "" && *only != bugs[i].Name {
			continue
		}
		b, err := plant(ctx, &bugs[i])
		if err != nil {
			return fmt.Errorf("%s: %w", bugs[i].Name, err)
		}
		_, _ = fmt.Fprintln(stdout, b) // as above
		bites = append(bites, b)
		if b.By != "" {
			caught++
		}
	}
	_, _ = fmt.Fprintf(stdout, "%d of %d planted bugs were caught\n", caught, len(bites)) // as above
	if err := write(*out, bites); err != nil {
		return err
	}
	if caught < len(bites) || len(bites) == 0 {
		return errors.New("the tests have to catch every bug")
	}
	return nil
}

// bite is what became of a planted bug.
type bite struct {
	Bug     string  `json:"bug"`
	Is      string  `json:"is"`
	By      string  `json:"caught_by"` // the test that failed, "" when none did
	In      string  `json:"package"`
	Seconds float64 `json:"seconds"`
}

// String is a line for the terminal.
func (b bite) String() string {
	return fmt.Sprintf("%-22s %-70s %5.0f s", b.Bug, cmp.Or(b.By, "NOT CAUGHT"), b.Seconds)
}

// plant runs the tests of b, first without it and then with it.
func plant(ctx context.Context, b *bug) (bite, error) {
	started := time.Now()
	dir, err := os.MkdirTemp("", "sekali-teeth-")
	if err != nil {
		return bite{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // only a temporary directory
	overlay, err := b.overlay(dir)
	if err != nil {
		return bite{}, err
	}
	if out, err := goTool(ctx, overlay, "build", "./..."); err != nil {
		return bite{}, fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	result := bite{Bug: b.Name, Is: b.Is}
	for _, tests := range b.Tests {
		// Not from the cache: it does not know what binaries a test builds.
		arguments := []string{"test", "-count=1", "-failfast", "-timeout", "5m", "-run", tests.Run, "./" + tests.Package}
		out, err := goTool(ctx, "", arguments...)
		if err != nil {
			return bite{}, fmt.Errorf("%s fails without the bug: %w\n%s", tests.Package, err, out)
		}
		if strings.Contains(out, "[no tests to run]") {
			return bite{}, fmt.Errorf("no test of %s fits %q", tests.Package, tests.Run)
		}
		if out, err = goTool(ctx, overlay, arguments...); err == nil {
			continue
		}
		if result.By = failed(out); result.By == "" {
			return bite{}, fmt.Errorf("%s fails with the bug, but no test of it does: %w\n%s", tests.Package, err, out)
		}
		result.In = tests.Package
		break
	}
	result.Seconds = time.Since(started).Seconds()
	return result, ctx.Err()
}

// small are sizes below those of make test: what these catch, those do.
var small = []string{"PROVE_KILLS=5", "PROVE_POWER_LOSS_STATES=500", "PROVE_IO_ERRORS=200", "PROVE_CUTS=2", "PROVE_OUT="}

// goTool runs the go command. The overlay is passed by the environment, so that
// it also holds for the binaries that tests build.
func goTool(ctx context.Context, overlay string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), small...)
	if overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failed returns the name of the first test that failed.
func failed(out string) string {
	if m := failure.FindStringSubmatch(out); m != nil {
		return m[1]
	}
	return ""
}

// overlay writes the sources with the bug into dir and returns the file that
// tells the compiler to take them.
func (b *bug) overlay(dir string) (string, error) {
	replace := make(map[string]string)
	for i, e := range b.Edits {
		original, err := filepath.Abs(e.File)
		if err != nil {
			return "", err
		}
		from := cmp.Or(replace[original], original)
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.Old); n != 1 {
			return "", fmt.Errorf("%s has the text to be changed %d times instead of once; fit the bug to the sources:\n%s", e.File, n, e.Old)
		}
		replace[original] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(replace[original], []byte(strings.Replace(string(text), e.Old, e.New, 1)), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

func write(file string, bites []bite) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(bites, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}
