package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the generated documents instead of comparing them")

// exampleConfig opens docs/configuration.md; a test loads it.
const exampleConfig = `listen: 127.0.0.1:8080
data-dir: /var/lib/sekali
log-format: json
max-body-bytes: 8MiB
request-timeout: 10s
`

const configurationIntro = `# Configuration

<!-- Generated from cmd/sekali/config.go: go test ./cmd/sekali -run TestGenerated -update -->

Every setting of ` + "`sekali serve`" + ` is a flag, an environment variable and a key of a YAML file, under one name. All have
defaults: no file is needed. A file is named with ` + "`--config FILE`" + ` or ` + "`SEKALI_CONFIG`" + `:

` + "```yaml\n" + exampleConfig + "```" + `

Where a setting is given more than once, the first of these wins: flag, environment, file, default. A key or a ` + "`SEKALI_`" + `
variable that does not exist is an error, so that a typing mistake does not pass unseen. ` + "`sekali check-config`" + ` takes the same
flags, reads the same environment and file, prints what is in force and where each value comes from, and exits with 2 when
a setting is wrong.

Sizes are written like ` + "`8MiB`, `8MB` or `8388608`" + `, times like ` + "`500ms`, `10s` or `2m`" + `.

| Flag | Environment | YAML key | Default | Meaning |
|---|---|---|---|---|
`

// configurationReference writes docs/configuration.md.
func configurationReference() string {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SortFlags = false
	new(config).defineFlags(flags)
	var b strings.Builder
	b.WriteString(configurationIntro)
	flags.VisitAll(func(f *pflag.Flag) {
		value, meaning := pflag.UnquoteUsage(f)
		if value != "" {
			value = " " + strings.ToUpper(value)
		}
		key := "`" + f.Name + "`"
		if f.Name == "config" {
			key = "none" // a file does not name another
		}
		initial := "none"
		if f.DefValue != "" {
			initial = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&b, "| `--%s%s` | `%s` | %s | %s | %s |\n", f.Name, value, envName(f.Name), key, initial, strings.ReplaceAll(meaning, "|", `\|`))
	})
	return b.String()
}

func TestGeneratedConfigurationReferenceIsUpToDate(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "configuration.md")
	want := configurationReference()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "write it anew: go test ./cmd/sekali -run TestGenerated -update")
}

func TestTheExampleOfTheReferenceIsAValidConfiguration(t *testing.T) {
	c, flags := parsed(t)
	require.NoError(t, applyYAML(flags, "example", []byte(exampleConfig)))
	require.NoError(t, c.validate())
	require.Equal(t, "/var/lib/sekali", c.dataDir)
}
