package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sekali/internal/progress"
	"sekali/loadtest/profile"
	"sekali/loadtest/result"
)

// profileCommand is a command that measures the server against goals.
type profileCommand struct {
	options        profile.Options
	output, report string
	ca             string // file
	bounds         []bound

	// measure runs the profile with the options, which are complete.
	measure func(context.Context, profile.Options) (*result.Result, error)
}

// bound is a flag that must be greater than 0 and at most what makes sense.
type bound struct {
	name  string
	value func() int64
	text  string // of most
	most  int64
}

// profileHelp is what all profiles have in common.
const profileHelp = `

Exit codes: 0 nothing was wrong, 1 something was lost, miscounted or failed, 2
wrong usage. A goal that is missed is said so and is no failure, because a
machine may be slow.`

// serverHelp is what the profiles say that can load any server.
const serverHelp = `

Without --url it starts a server of its own on a free port and a temporary data
directory, or on that of --keep-data. A key for the server is taken from
SEKALI_API_KEY.`

func newProfileCommand(name, short, long, example string) (*cobra.Command, *profileCommand) {
	p := &profileCommand{}
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long + profileHelp, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.execute(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&p.options.DataDir, "keep-data", "", "`directory` for the started server, kept afterwards; it may hold the events of earlier runs")
	f.StringVar(&p.report, "report", "", "write a report with charts to this HTML `file`")
	defineOutputFlag(cmd, &p.output)
	return cmd, p
}

// defineLoad adds the flags of the profiles that can load any server.
func (p *profileCommand) defineLoad(f *pflag.FlagSet) {
	f.Uint64Var(&p.options.Seed, "seed", 1, "number that decides the ids and what is repeated")
	f.StringVar(&p.options.URL, "url", "", "`URL` of the server; without it the command starts one")
	defineCA(f, &p.ca)
}

// intVar defines a number from 1 to most.
func (p *profileCommand) intVar(f *pflag.FlagSet, n *int, name string, value, most int, usage string) {
	f.IntVar(n, name, value, usage)
	p.bounds = append(p.bounds, bound{name, func() int64 { return int64(*n) }, strconv.Itoa(most), int64(most)})
}

// timeVar defines a time above 0 and up to most.
func (p *profileCommand) timeVar(f *pflag.FlagSet, d *time.Duration, name string, value, most time.Duration, usage string) {
	f.DurationVar(d, name, value, usage)
	p.bounds = append(p.bounds, bound{name, func() int64 { return int64(*d) }, most.String(), int64(most)})
}

func (p *profileCommand) execute(cmd *cobra.Command) error {
	if err := p.prepare(cmd); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	measured, err := p.measure(ctx, p.options)
	if err != nil {
		return exitWith(exitFailed, err)
	}
	return p.write(cmd, measured)
}

// prepare checks the flags before anything is started.
func (p *profileCommand) prepare(cmd *cobra.Command) (err error) {
	o := &p.options
	if o.URL != "" && o.DataDir != "" {
		return usageErrorf("--keep-data is for a server that this command starts; leave out --url")
	}
	if err := errors.Join(checkOutput(p.output), checkURL(o.URL)); err != nil {
		return err
	}
	for _, b := range p.bounds {
		if n := b.value(); n <= 0 || n > b.most {
			return usageErrorf("--%s must be greater than 0 and at most %s", b.name, b.text)
		}
	}
	if o.RootCAs, err = readRoots(p.ca); err != nil {
		return err
	}
	if o.Executable, err = os.Executable(); err != nil {
		return exitWith(exitFailed, fmt.Errorf("find this program: %w", err))
	}
	o.APIKey = os.Getenv("SEKALI_API_KEY")
	o.Display = progress.Display{Out: cmd.ErrOrStderr(), Terminal: isTerminal(cmd.ErrOrStderr())}
	return nil
}

func (p *profileCommand) write(cmd *cobra.Command, r *result.Result) error {
	write := r.WriteText
	if p.output == "json" {
		write = r.WriteJSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return exitWith(exitFailed, err)
	}
	if p.report != "" {
		if err := writeReportFile(p.report, r); err != nil {
			return exitWith(exitFailed, err)
		}
	}
	if !r.OK() {
		return exitWith(exitFailed, errors.New("the load test failed; the result says what was wrong"))
	}
	return nil
}
