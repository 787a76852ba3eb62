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

// applyEnvironment sets the flags of cmd that the command line left alone from
// their variables. For the commands that read the configuration, a variable
// that a server does not know is an error, so that a typo does not pass unseen.
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
	known := serverVariables(cmd)
	for name := range values {
		switch asksServer := cmd.Flags().Lookup("url") != nil; { // doctor, in the shell of somebody who has a key
		case name == "SEKALI_API_KEY" && !asksServer:
			return usageErrorf("SEKALI_API_KEY is for clients: a server has its keys in its data directory (sekali keys create); unset it here")
		case name != "SEKALI_API_KEY" && !known[name] && !isServiceLink(name):
			return usageErrorf("unknown environment variable %s: 'sekali %s --help' lists the flags, each of which is a variable", name, cmd.Name())
		}
	}
	return nil
}

// serverVariables are those of cmd and of 'healthcheck', which shares the
// environment of a container with the server.
func serverVariables(cmd *cobra.Command) map[string]bool {
	known := make(map[string]bool)
	for _, c := range []*cobra.Command{cmd, newHealthcheckCommand()} {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				known[envName(f.Name)] = true
			}
		})
	}
	return known
}

// isServiceLink reports whether Kubernetes sets the variable by itself: into
// every pod, for a service that is called sekali.
func isServiceLink(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}
