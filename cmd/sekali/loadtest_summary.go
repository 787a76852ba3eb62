package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"sekali/loadtest/result"
)

func newSummaryCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "summary FILE.json...",
		Short: "Sum up the results of many runs, one row for each goal",
		Long: `Read results that the profiles wrote with --output json, and print for each goal
the median of its figures, their spread, how many runs met it and what it was
measured against.

Exit codes: 0 nothing was wrong in any run, also when goals were missed, 1 a run
had problems or a file is no result, 2 wrong usage.`,
		Example: `  sekali loadtest summary bench-results/*.json
  sekali loadtest summary --output markdown bench-results/*.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return summarize(cmd.OutOrStdout(), output, files) },
	}
	cmd.Flags().StringVar(&output, "output", "table", "`format` of the summary: table, markdown or json")
	return cmd
}

func summarize(out io.Writer, format string, files []string) error {
	formats := map[string]func(*result.Summary, io.Writer) error{
		"table": (*result.Summary).WriteText, "markdown": (*result.Summary).WriteMarkdown, "json": (*result.Summary).WriteJSON,
	}
	write := formats[format]
	if write == nil {
		return usageErrorf("--output is %q; use table, markdown or json", format)
	}
	runs := make([]*result.Result, len(files))
	for i, name := range files {
		var err error
		if runs[i], err = readResult(name); err != nil {
			return exitWith(exitFailed, err)
		}
	}
	summary := result.Summarize(runs)
	if err := write(summary, out); err != nil {
		return exitWith(exitFailed, err)
	}
	if !summary.OK() {
		return exitWith(exitFailed, errors.New("something was wrong in a run; the problems say what"))
	}
	return nil
}

func readResult(name string) (*result.Result, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open a result: %w", err)
	}
	defer file.Close() //nolint:errcheck // Nothing was written.
	r, err := result.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
