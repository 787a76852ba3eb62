package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sekali/loadtest/peers/report"
)

func rawFile(growth bool) string {
	if growth {
		return report.GrowthRawFile
	}
	return report.RawFile
}

// save keeps the results so far.
func save(o *options, set *report.Set) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil { // It is for everyone to read.
		return err
	}
	return set.Write(filepath.Join(o.out, rawFile(set.Growth)))
}

// publish writes the report of the results in the output directory, and, when
// there is a page for it, puts them beside the page and the report into it.
func publish(o *options, stdout io.Writer) error {
	folder, err := report.Load(o.out)
	if err != nil {
		return err
	}
	if err := folder.WriteCharts(o.out); err != nil {
		return err
	}
	text := folder.Markdown("")
	if err := os.WriteFile(filepath.Join(o.out, "report.md"), []byte(text), 0o644); err != nil { // It is for everyone to read.
		return err
	}
	if _, err := fmt.Fprintf(stdout, "\n%s\nwritten to %s\n", text, o.out); err != nil || o.docs == "" {
		return err
	}
	return errors.Join(report.Publish(o.out, o.docs), tell(stdout, o.docs))
}

func tell(stdout io.Writer, page string) error {
	_, err := fmt.Fprintln(stdout, "and into", page)
	return err
}
