package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const envPrefix = "SEKALI_"

// envName returns the variable of a flag: --data-dir is SEKALI_DATA_DIR.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// envOnly are variables without a flag: a secret must not stand in a command
// line, where every user of the machine can read it.
var envOnly = map[string]bool{"SEKALI_API_KEY": true}

// applyEnvironment sets the flags of cmd that the command line left alone from
// their variables. A variable that no command knows is an error for the
// commands that read the configuration, so that a typo does not pass unseen.
func applyEnvironment(cmd *cobra.Command, environ []string) error {
	values := make(map[string]string)
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) {
			values[name] = value
		}
	}
	var failure error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := values[envName(f.Name)]
		if !ok || f.Changed || failure != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			failure = usageErrorf("environment variable %s: %w", envName(f.Name), err)
		}
		markSource(f, sourceEnvironment)
	})
	if failure != nil || cmd.Flags().Lookup("config") == nil {
		return failure
	}
	known := knownVariables(cmd.Root())
	for name := range values {
		if !known[name] && !isServiceLink(name) {
			return usageErrorf("unknown environment variable %s: 'sekali %s --help' lists the flags, each of which is a variable", name, cmd.Name())
		}
	}
	return nil
}

func knownVariables(root *cobra.Command) map[string]bool {
	known := make(map[string]bool)
	for name := range envOnly {
		known[name] = true
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[envName(f.Name)] = true })
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(root)
	return known
}

// isServiceLink reports whether Kubernetes sets the variable by itself: into
// every pod, for a service that is called sekali.
func isServiceLink(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}
