// Command sekali is the event gate: the server, its load test and its tools in
// one binary. It is the only place that wires the packages together and the
// only one that reads flags, environment and configuration files.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	code := exitUsage // what cobra itself finds is wrong usage
	if exit, ok := errors.AsType[*exitError](err); ok {
		code = exit.code
	}
	_, _ = fmt.Fprintln(stderr, "sekali:", err) // nowhere else to say it
	if code == exitUsage {
		_, _ = fmt.Fprintln(stderr, "Try 'sekali help', or 'sekali COMMAND --help'.")
	}
	return code
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sekali",
		Short: "Store and count each event once",
		Long: `Sekali is an HTTP gate for events: senders that retry deliver at least once;
Sekali stores and counts each event once, on disk before it answers.

Start it with 'sekali serve'. Every flag can also be given as an environment
variable: --data-dir is SEKALI_DATA_DIR.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return applyEnvironment(cmd, os.Environ()) },
	}
	root.AddCommand(newServeCommand(), newKeysCommand(), newVerifyCommand(), newDoctorCommand(), newBackupCommand(), newRestoreCommand(),
		newCheckConfigCommand(), newLoadtestCommand(), newHealthcheckCommand(), newVersionCommand())
	return root
}
