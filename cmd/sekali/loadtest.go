package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sekali/client"
	"sekali/loadtest"
)

func newLoadtestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "loadtest",
		Short: "Load a server, verify every answer and measure it against its goals",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStressCommand(), newVerifyLedgerCommand())
	cmd.AddCommand(newGoalCommands()...)
	cmd.AddCommand(newRestartCommand(), newIdleCommand(), newSummaryCommand(), newEchoServerCommand())
	return cmd
}

// stressFlags are the flags of 'loadtest stress' beyond the run's own options.
type stressFlags struct {
	run                              loadtest.Options
	output, report, ledger, keepData string

	ca string // file
}

func newStressCommand() *cobra.Command {
	s := &stressFlags{run: loadtest.Options{DuplicateShare: 0.5}}
	cmd := &cobra.Command{
		Use:   "stress",
		Short: "Send events, a part of them twice, and check that each is stored once",
		Long: `Send events over several connections, a part of them repeats of earlier ones,
and verify every answer, the counts and the stored events.

Without --url it starts a server of its own on a free port and a temporary data
directory. A key for the server is taken from SEKALI_API_KEY.

Exit codes: 0 everything matched, 1 a mismatch or a failure, 2 wrong usage.`,
		Example: `  sekali loadtest stress
  sekali loadtest stress --events 100000 --duplicates 10% --report report.html
  sekali loadtest stress --url http://127.0.0.1:8080 --batch 1 --connections 64`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.execute(cmd) },
	}
	s.defineFlags(cmd)
	return cmd
}

func (s *stressFlags) defineFlags(cmd *cobra.Command) {
	f, o := cmd.Flags(), &s.run
	f.StringVar(&o.URL, "url", "", "`URL` of the server; without it the command starts one")
	defineCA(f, &s.ca)
	f.IntVar(&o.Events, "events", 5000, "how many events to send, repeats included")
	f.Var((*shareValue)(&o.DuplicateShare), "duplicates", "share of repeats, as 0.5 or 50%")
	f.IntVar(&o.Connections, "connections", 8, "how many connections send at a time")
	f.IntVar(&o.BatchSize, "batch", 100, "events per request; 1 sends single events as plain objects")
	f.IntVar(&o.Topics, "topics", 10, "how many topics to spread the events over")
	f.IntVar(&o.PayloadBytes, "payload-bytes", 150, "size of each payload")
	f.Uint64Var(&o.Seed, "seed", 1, "number that decides the events and their order")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "longest time for sending, and again for reading back")
	f.StringVar(&s.report, "report", "", "write a report with charts to this HTML `file`")
	f.StringVar(&s.ledger, "ledger", "", "append what is acknowledged to this `file`, for 'loadtest verify'")
	f.StringVar(&s.keepData, "keep-data", "", "`directory` for the started server, kept afterwards")
	defineOutputFlag(cmd, &s.output)
}

func defineOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVar(output, "output", "table", "`format` of the result: table or json")
}

func (s *stressFlags) execute(cmd *cobra.Command) (err error) {
	if err := s.prepare(cmd); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if s.ledger != "" {
		file, err := os.OpenFile(s.ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return exitWith(exitFailed, fmt.Errorf("open the ledger: %w", err))
		}
		defer func() { err = errors.Join(err, exitWith(exitFailed, file.Close())) }()
		s.run.Ledger = file
	}
	if s.run.URL == "" {
		server, err := s.startServer(ctx)
		if err != nil {
			return exitWith(exitFailed, err)
		}
		defer func() { err = errors.Join(err, exitWith(exitFailed, server.Stop())) }()
		s.run.URL, s.run.APIKey, s.run.Exclusive = server.URL, "", true
	}
	report, err := loadtest.Run(ctx, s.run)
	if err != nil {
		return exitWith(exitFailed, err)
	}
	return s.write(cmd, report)
}

// prepare checks the flags before anything is started.
func (s *stressFlags) prepare(cmd *cobra.Command) error {
	if s.run.URL != "" && s.keepData != "" {
		return usageErrorf("--keep-data is for a server that this command starts; leave out --url")
	}
	if err := checkOutput(s.output); err != nil {
		return err
	}
	for name, n := range map[string]int64{
		"events": int64(s.run.Events), "connections": int64(s.run.Connections), "batch": int64(s.run.BatchSize),
		"topics": int64(s.run.Topics), "payload-bytes": int64(s.run.PayloadBytes), "timeout": int64(s.run.Timeout),
	} {
		if n <= 0 { // to the package 0 means its default; here the default has been said
			return usageErrorf("--%s must be greater than 0", name)
		}
	}
	probe := s.run
	if probe.URL == "" {
		probe.URL = "of the server to be started"
	}
	if _, err := probe.WithDefaults(); err != nil {
		return usageErrorf("%w", err)
	}
	if err := checkURL(s.run.URL); err != nil {
		return err
	}
	var err error
	if s.run.RootCAs, err = readRoots(s.ca); err != nil {
		return err
	}
	s.run.APIKey = os.Getenv("SEKALI_API_KEY")
	s.run.Progress, s.run.Terminal = cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr())
	return nil
}

func (s *stressFlags) startServer(ctx context.Context) (*loadtest.Server, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return loadtest.StartServer(ctx, loadtest.ServerOptions{Executable: executable, DataDir: s.keepData})
}

func (s *stressFlags) write(cmd *cobra.Command, report *loadtest.Report) error {
	if err := writeOutput(cmd.OutOrStdout(), s.output, report); err != nil {
		return err
	}
	if s.report != "" {
		if err := writeReportFile(s.report, report); err != nil {
			return exitWith(exitFailed, err)
		}
	}
	if !report.OK() {
		return exitWith(exitFailed, errors.New("the load test failed; the report says what did not match"))
	}
	return nil
}

func writeReportFile(name string, report interface{ WriteHTML(w io.Writer) error }) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("create the report: %w", err)
	}
	return errors.Join(report.WriteHTML(file), file.Close())
}

func newVerifyLedgerCommand() *cobra.Command {
	var ledger, output, ca string
	var o loadtest.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that what was acknowledged is stored exactly once",
		Long: `Check that each event in a ledger that 'loadtest stress --ledger' wrote is
stored exactly once, with the seq that was acknowledged: after a kill -9, a
restart or a restored backup. A key is taken from SEKALI_API_KEY.

Exit codes: 0 all are there, 1 some are not or the check failed, 2 wrong usage.`,
		Example: `  sekali loadtest verify --url http://127.0.0.1:8080 --ledger acked.tsv`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.RootCAs, err = readRoots(ca); err != nil {
				return err
			}
			o.APIKey = os.Getenv("SEKALI_API_KEY")
			return verifyLedger(cmd, ledger, output, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "", "`URL` of the server")
	defineCA(f, &ca)
	f.StringVar(&ledger, "ledger", "", "`file` that the load test wrote")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "longest time for the check")
	defineOutputFlag(cmd, &output)
	return cmd
}

func verifyLedger(cmd *cobra.Command, ledger, output string, o loadtest.VerifyOptions) error {
	if o.URL == "" || ledger == "" {
		return usageErrorf("--url and --ledger are both needed")
	}
	if err := errors.Join(checkOutput(output), checkURL(o.URL)); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	acknowledged, err := readLedgerFile(ledger)
	if err != nil {
		return exitWith(exitFailed, err)
	}
	if acknowledged.Empty() {
		return exitWith(exitFailed, fmt.Errorf("the ledger %s is empty: there is nothing to check", ledger))
	}
	o.Progress, o.Terminal = cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr())
	report, err := loadtest.Verify(ctx, acknowledged, o)
	if err != nil {
		return exitWith(exitFailed, err)
	}
	if err := writeOutput(cmd.OutOrStdout(), output, report); err != nil {
		return err
	}
	if !report.OK() {
		return exitWith(exitFailed, errors.New("not everything that was acknowledged is stored exactly once"))
	}
	return nil
}

func readLedgerFile(name string) (*loadtest.Ledger, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	defer file.Close() //nolint:errcheck // Nothing was written.
	return loadtest.ReadLedger(file)
}

// checkURL finds a URL that can never work; "" stands for a server to be started.
func checkURL(url string) error {
	if url == "" {
		return nil
	}
	if _, err := client.New(url, client.Options{}); err != nil {
		return usageErrorf("--url: %w", err)
	}
	return nil
}

func checkOutput(format string) error {
	if format != "table" && format != "json" {
		return usageErrorf("--output is %q; use table or json", format)
	}
	return nil
}

// writeOutput writes a report as text or, for --output json, as JSON.
func writeOutput(w io.Writer, format string, report interface{ WriteText(io.Writer) error }) error {
	if format == "table" {
		return exitWith(exitFailed, report.WriteText(w))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return exitWith(exitFailed, e.Encode(report))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// shareValue is a flag that takes 0.5 or 50%.
type shareValue float64

// String returns the share as a percentage.
func (s *shareValue) String() string {
	return strconv.FormatFloat(100*float64(*s), 'g', 6, 64) + "%"
}

// Set parses a share from 0 to 1 or a percentage from 0 to 100.
func (s *shareValue) Set(text string) error {
	number, isPercent := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return errors.New("want a share such as 0.5 or 50%")
	}
	if isPercent {
		x /= 100
	}
	if !(x >= 0 && x <= 1) { // NaN, too
		return errors.New("want a share from 0 to 1, or from 0% to 100%")
	}
	*s = shareValue(x)
	return nil
}

// Type names the flag's value in the help.
func (s *shareValue) Type() string { return "share" }
