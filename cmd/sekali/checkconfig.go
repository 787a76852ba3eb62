package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newCheckConfigCommand() *cobra.Command {
	c := &config{}
	var output string
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration and show where each setting comes from",
		Long: `Read flags, environment and file exactly as 'sekali serve' does, and print what
is in force. Exits with 2, and says why, when a setting is wrong. Whether the
address is free and the directory usable shows at the start.`,
		Args: cobra.NoArgs,
	}
	c.defineFlags(cmd.Flags())
	cmd.Flags().StringVar(&output, "output", "table", "`format` of the result: table or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(checkOutput(output), loadConfig(c, cmd.Flags())); err != nil {
			return err
		}
		return writeSettings(cmd.OutOrStdout(), cmd.Flags(), output)
	}
	return cmd
}

type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func writeSettings(w io.Writer, flags *pflag.FlagSet, output string) error {
	var settings []setting
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "output" {
			settings = append(settings, setting{f.Name, f.Value.String(), sourceOf(f)})
		}
	})
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return exitWith(exitFailed, encoder.Encode(settings))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "SETTING\tVALUE\tFROM") // Flush reports the error
	for _, s := range settings {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Value, s.Source) // as above
	}
	return exitWith(exitFailed, t.Flush())
}
