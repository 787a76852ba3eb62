package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"sekali/client"
	"sekali/internal/buildinfo"
)

func newVersionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if output == "json" {
				return exitWith(exitFailed, json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
					"version": buildinfo.Version(), "commit": buildinfo.Commit(), "built": buildinfo.Date(), "go": buildinfo.Go(),
				}))
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sekali %s (commit %s, built %s, %s)\n",
				buildinfo.Version(), buildinfo.Commit(), buildinfo.Date(), buildinfo.Go())
			return exitWith(exitFailed, err)
		},
	}
	cmd.Flags().StringVar(&output, "output", "table", "`format` of the result: table or json")
	return cmd
}

func newHealthcheckCommand() *cobra.Command {
	var (
		url, listen, tlsCert, ca string
		timeout                  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running server whether it takes events",
		Long: `Ask GET /readyz of a running server. Exits with 0 when it takes events and with
1 when it does not or cannot be reached. Without --url it asks the address of
--listen (SEKALI_LISTEN) on this machine, which is right inside a container: by
https when --tls-cert (SEKALI_TLS_CERT) is set, whatever host the certificate
names. It does not read a configuration file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options := client.Options{MaxAttempts: 1}
			var err error
			if url != "" {
				options.RootCAs, err = readRoots(ca)
			} else {
				options.HTTPClient = ownServerClient()
				url, err = localURL(listen, tlsCert != "")
			}
			if err != nil {
				return err
			}
			return checkHealth(cmd, url, options, timeout)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "`URL` of the server")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`address` that the server listens on")
	cmd.Flags().StringVar(&tlsCert, "tls-cert", "", "the `file` that the server takes its certificate from: when there is one it is asked by https")
	defineCA(cmd.Flags(), &ca)
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "longest `time` to wait for the answer")
	return cmd
}

// localURL returns how a listening address is reached from the same machine.
func localURL(listen string, secure bool) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usageErrorf("--listen %q: %w", listen, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port), nil
}

func checkHealth(cmd *cobra.Command, url string, options client.Options, timeout time.Duration) error {
	c, err := client.New(url, options)
	if err != nil {
		return usageErrorf("%w", err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		return exitWith(exitFailed, fmt.Errorf("not healthy: %w", err))
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "healthy")
	return exitWith(exitFailed, err)
}
