// Command report writes what the fault tests found into a page: it reads the
// results of `make prove` and replaces what stands between two marks.
//
//	report -results DIR -page docs/faults.md -tests FILE
//
// It exits with 1 when a test failed or, of those named in FILE, has no result.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	beginMark = "<!-- figures: begin -->\n"
	endMark   = "<!-- figures: end -->\n"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	results := flags.String("results", "prove-results", "`folder` of the results")
	page := flags.String("page", "", "`file` to write the table into; empty writes it to standard output")
	tests := flags.String("tests", "", "`file` with the names of the tests that should have a result")
	if flags.Parse(args) != nil {
		return 2
	}
	err := report(*results, *page, *tests)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "report:", err) // nowhere else to say it
		return 1
	}
	return 0
}

// report writes the page first, so that it shows what failed, too.
func report(folder, page, testsFile string) error {
	results, err := readResults(folder)
	if err != nil {
		return err
	}
	missing, err := withoutResult(testsFile, results)
	if err != nil {
		return err
	}
	text := machine(results) + table(results)
	if page == "" {
		_, err = io.WriteString(os.Stdout, text)
	} else {
		err = replaceBetweenMarks(page, text)
	}
	return errors.Join(err, failures(results, missing))
}

func replaceBetweenMarks(file, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), beginMark)
	_, after, foundEnd := strings.Cut(rest, endMark)
	if !found || !foundEnd {
		return fmt.Errorf("%s has no marks %q and %q to write between", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(file, []byte(before+beginMark+text+endMark+after), 0o644)
}
