package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekali/access"
	"sekali/persistence/keyfile"
)

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list, revoke and rotate the keys of a server",
		Long: `Manage the keys of the server that uses a data directory. It may be running:
it sees every change within a second. From the first key on, every request
needs one; revoking the last one does not open the server again.

A key is shown once, when it is made. Clients send it as
'Authorization: Bearer <key>'.

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCreateKeyCommand(), newListKeysCommand(), newRevokeKeyCommand(), newRotateKeyCommand())
	return cmd
}

// keysFlags are what all of them take.
type keysFlags struct{ dataDir, output string }

func (k *keysFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.dataDir, "data-dir", "./data", "`directory` of the database")
	defineOutputFlag(cmd, &k.output)
}

func (k *keysFlags) file() (*keyfile.File, error) {
	if k.dataDir == "" {
		return nil, usageErrorf("--data-dir is empty; name a directory")
	}
	return keyfile.New(k.dataDir), checkOutput(k.output)
}

// update changes the keys of the directory.
func (k *keysFlags) update(change func(*access.Keys) error) (*keyfile.File, error) {
	file, err := k.file()
	if err != nil {
		return nil, err
	}
	if _, err := file.Update(change); err != nil {
		if refused, ok := errors.AsType[*access.SpecError](err); ok {
			return nil, usageErrorf("--%s: %s", flagOf(refused.Field), refused.Message)
		}
		return nil, exitWith(exitFailed, err)
	}
	return file, nil
}

// flagOf returns the flag that sets a field of a key.
func flagOf(field string) string {
	switch field {
	case "scopes":
		return "scope"
	case "topic_prefixes":
		return "topic-prefix"
	default:
		return strings.ReplaceAll(field, "_", "-")
	}
}

func newCreateKeyCommand() *cobra.Command {
	var (
		flags  keysFlags
		spec   access.Spec
		scopes []string
		rate   rateValue
		burst  int
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key and show it, this once",
		Long: `Make a key and print it: with --output json it is in the field "key". Nobody can
show it a second time, because only its SHA-256 is kept.

Scopes: publish hands events in, read reads events and counts, admin manages
keys over HTTP. None includes another. A key with topic prefixes is for the
topics that begin with one of them, byte for byte: end it with a separator, as
in 'order.', or 'orders-of-others' begins with it too.`,
		Example: `  sekali keys create --name shop --scope publish --topic-prefix order. --topic-prefix cart.
  sekali keys create --name laptop --scope publish,read --rate 1000/s --expires-in 2160h
  export SEKALI_API_KEY=$(sekali keys create --name ops --scope admin --output json | jq -r .key)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range scopes {
				spec.Scopes = append(spec.Scopes, access.Scope(s))
			}
			spec.Rate = access.Rate{PerSecond: float64(rate), Burst: burst}
			return createKey(cmd, &flags, spec)
		},
	}
	flags.define(cmd)
	f := cmd.Flags()
	f.StringVar(&spec.Name, "name", "", "`name` of whoever has the key, for lists and logs")
	f.StringSliceVar(&scopes, "scope", nil, "`scopes`, separated by commas: publish, read, admin")
	f.StringArrayVar(&spec.TopicPrefixes, "topic-prefix", nil, "only for topics that begin with this `text`; may be given several times")
	f.DurationVar(&spec.Lifetime, "expires-in", 0, "`time` after which the key ends, as 2160h for 90 days; 0 means never")
	f.Var(&rate, "rate", "most events it may publish over time, and other requests it may make, as 1000/s or 60/m; 0 means no limit")
	f.IntVar(&burst, "burst", 0, "how many `events` may come at once after a pause; 0 means those of one second")
	return cmd
}

func createKey(cmd *cobra.Command, flags *keysFlags, spec access.Spec) error {
	var (
		key   access.Key
		token access.Token
	)
	file, err := flags.update(func(k *access.Keys) (err error) {
		key, token, err = k.Create(spec, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	return writeNewKey(cmd.OutOrStdout(), flags.output, file.Path(), key, token)
}

func newListKeysCommand() *cobra.Command {
	var flags keysFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys, without their secrets",
		Long: `List the keys, the oldest first. Revoked and expired ones stay in the list for 90
days. The time of the last use is some minutes behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := flags.file()
			if err != nil {
				return err
			}
			keys, err := file.Load()
			if err != nil {
				return exitWith(exitFailed, err)
			}
			if len(keys.All()) == 0 && flags.output == "table" { // the path shows a --data-dir that is not the server's
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "no keys: there is no %s\n", file.Path())
				return exitWith(exitFailed, err)
			}
			return writeKeys(cmd.OutOrStdout(), flags.output, keys.All())
		},
	}
	flags.define(cmd)
	return cmd
}

func newRevokeKeyCommand() *cobra.Command {
	var flags keysFlags
	cmd := &cobra.Command{
		Use:   "revoke NAME|ID",
		Short: "End the key of an id, or all of a name, at once",
		Args:  oneKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			var revoked []access.Key
			_, err := flags.update(func(k *access.Keys) (err error) {
				revoked, err = k.Revoke(args[0], time.Now())
				return err
			})
			if err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), flags.output, revoked)
		},
	}
	flags.define(cmd)
	return cmd
}

func newRotateKeyCommand() *cobra.Command {
	var (
		flags   keysFlags
		overlap time.Duration
	)
	cmd := &cobra.Command{
		Use:   "rotate NAME|ID",
		Short: "Make a new secret for a name and let the old ones end",
		Long: `Make a key of the same name, scopes, topics and rate and print it. The keys that
the name had go on working for --overlap, in which clients change over.`,
		Args: oneKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			var (
				key   access.Key
				token access.Token
			)
			file, err := flags.update(func(k *access.Keys) (err error) {
				key, token, err = k.Rotate(args[0], overlap, time.Now())
				return err
			})
			if err != nil {
				return err
			}
			return writeNewKey(cmd.OutOrStdout(), flags.output, file.Path(), key, token)
		},
	}
	flags.define(cmd)
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "`time` for which the old keys of the name stay valid; 0 ends them at once")
	return cmd
}

// oneKey refuses a whole key as an argument, which other users of the machine
// can see, without repeating it.
func oneKey(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageErrorf("'%s' takes one name or id; 'sekali keys list' has them", cmd.CommandPath())
	}
	if access.Redact(args[0]) != args[0] {
		return usageErrorf("this is a whole key, which other users of this machine can read on a command line; give its id or name, and rotate it")
	}
	return nil
}

// rateValue is a flag like 1000/s, in events a second.
type rateValue float64

// rateUnits are how rates are written, in seconds.
var rateUnits = []struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}}

// String writes it as it is read, in the first unit that gives a whole number.
func (r *rateValue) String() string {
	if *r == 0 {
		return "0"
	}
	for _, unit := range rateUnits {
		if n := float64(*r) * unit.seconds; math.Abs(n-math.Round(n)) < 1e-6*n {
			return strconv.FormatFloat(math.Round(n), 'f', 0, 64) + "/" + unit.name
		}
	}
	return strconv.FormatFloat(float64(*r), 'g', -1, 64) + "/s"
}

// Set implements pflag.Value.
func (r *rateValue) Set(s string) error {
	number, name, given := strings.Cut(s, "/")
	seconds := 0.0
	for _, unit := range rateUnits {
		if unit.name == name || !given && unit.name == "s" {
			seconds = unit.seconds
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || seconds == 0 || math.IsNaN(n) || n < 0 {
		return fmt.Errorf("%q is not a rate; write it like 1000/s, 60/m or 5000/h", s)
	}
	*r = rateValue(n / seconds)
	return nil
}

// Type implements pflag.Value.
func (r *rateValue) Type() string { return "rate" }
