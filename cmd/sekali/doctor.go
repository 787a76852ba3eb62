package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sekali/internal/buildinfo"
)

// The verdicts of a check.
const (
	verdictOK   = "OK"
	verdictWarn = "WARN" // it works, and should not stay so
	verdictFail = "FAIL" // a server does not start on it, or answers may be lost
)

// check is one thing that doctor looked at.
type check struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Says    string `json:"says"`
	Do      string `json:"do,omitempty"`
}

// diagnosis is what doctor prints.
type diagnosis struct {
	Version string  `json:"version"`
	Dir     string  `json:"dir"`
	Checks  []check `json:"checks"`
}

func (d *diagnosis) ok(name, format string, args ...any) {
	d.Checks = append(d.Checks, check{name, verdictOK, fmt.Sprintf(format, args...), ""})
}

func (d *diagnosis) warn(name, do, format string, args ...any) {
	d.Checks = append(d.Checks, check{name, verdictWarn, fmt.Sprintf(format, args...), do})
}

func (d *diagnosis) fail(name, do, format string, args ...any) {
	d.Checks = append(d.Checks, check{name, verdictFail, fmt.Sprintf(format, args...), do})
}

func (d *diagnosis) count(verdict string) (n int) {
	for _, c := range d.Checks {
		if c.Verdict == verdict {
			n++
		}
	}
	return n
}

func newDoctorCommand() *cobra.Command {
	c := &config{}
	var (
		ask    serverToAsk
		output string
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong here and what to do about it",
		Long: `Look over the configuration, the data directory, the machine and the server that
uses them, and say what is wrong and what to do. It takes the settings of 'sekali
serve', by flag, environment and file. It may run while a server does: the
database is not opened and nothing is changed. What is in the database, 'sekali
verify' checks.

Exit codes: 0 nothing fails (warnings may be there), 1 something does, 2 wrong
usage.`,
		Example: `  sekali doctor --data-dir /var/lib/sekali
  sekali doctor --config /etc/sekali.yaml --output json`,
		Args: cobra.NoArgs,
	}
	c.defineFlags(cmd.Flags())
	cmd.Flags().StringVar(&ask.url, "url", "", "`URL` of the running server; by default the address of --listen on this machine, when the directory is in use")
	defineCA(cmd.Flags(), &ask.ca)
	cmd.Flags().DurationVar(&ask.timeout, "timeout", 3*time.Second, "longest `time` to wait for an answer of the server")
	defineOutputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(checkOutput(output), checkURL(ask.url)); err != nil {
			return err
		}
		d := &diagnosis{Version: buildinfo.Version()}
		d.checkConfig(c, cmd.Flags())
		d.Dir = c.dataDir
		inUse := d.checkDirectory(c.dataDir)
		d.checkDescriptors(c)
		d.checkCertificate(c)
		d.checkServer(cmd.Context(), c, ask, inUse)
		return d.write(cmd.OutOrStdout(), output)
	}
	return cmd
}

// write prints the diagnosis; something that fails is the exit code 1.
func (d *diagnosis) write(w io.Writer, output string) error {
	err := writeResult(w, output, d, func(t *tabwriter.Writer) {
		for _, c := range d.Checks {
			line(t, c.Verdict, "%s\t%s", c.Name, c.Says)
			if c.Do != "" {
				line(t, "", "\t-> %s", c.Do)
			}
		}
	})
	if err != nil {
		return err
	}
	if n := d.count(verdictFail); n > 0 {
		return exitWith(exitFailed, fmt.Errorf("%s failed", number(int64(n), "check")))
	}
	return nil
}
