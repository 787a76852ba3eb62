package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Where a setting comes from; the earlier ones win.
const (
	sourceFlag        = "flag"
	sourceEnvironment = "environment"
	sourceFile        = "file"
	sourceDefault     = "default"
)

const sourceAnnotation = "sekali_source"

func markSource(f *pflag.Flag, source string) {
	if f.Annotations == nil {
		f.Annotations = make(map[string][]string)
	}
	f.Annotations[sourceAnnotation] = []string{source}
}

func sourceOf(f *pflag.Flag) string {
	switch marked := f.Annotations[sourceAnnotation]; {
	case len(marked) > 0:
		return marked[0]
	case f.Changed:
		return sourceFlag
	default:
		return sourceDefault
	}
}

// applyYAML sets the flags that neither the command line nor the environment
// set from a document of "name: value" lines. A name that is not a flag is an
// error.
func applyYAML(flags *pflag.FlagSet, file string, text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil // an empty file
	case err != nil:
		return usageErrorf("%s: %w", file, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return usageErrorf("%s: the file should hold one document, without a line of ---", file)
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return usageErrorf("%s:%d: the file should be lines of \"name: value\"", file, top.Line)
	}
	seen := make(map[string]bool)
	for i := 0; i < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		f := flags.Lookup(key.Value)
		switch {
		case f == nil || !isFileKey(f.Name):
			return usageErrorf("%s:%d: unknown key %q%s", file, key.Line, key.Value, suggestion(flags, key.Value))
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			return usageErrorf("%s:%d: %s should be a single value", file, value.Line, key.Value)
		case seen[key.Value]:
			return usageErrorf("%s:%d: %s appears twice", file, key.Line, key.Value)
		}
		seen[key.Value] = true
		if f.Changed {
			continue // said more directly
		}
		if err := flags.Set(key.Value, value.Value); err != nil {
			return usageErrorf("%s:%d: %w", file, value.Line, err)
		}
		markSource(f, sourceFile)
	}
	return nil
}

// isFileKey reports whether a flag is a setting that a file may hold.
func isFileKey(flag string) bool { return flag != "config" && flag != "help" && flag != "output" }

// suggestion names the flag that was probably meant.
func suggestion(flags *pflag.FlagSet, name string) string {
	plain := func(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)) }
	best, bestDistance := "", 4
	flags.VisitAll(func(f *pflag.Flag) {
		if d := distance(plain(name), plain(f.Name)); isFileKey(f.Name) && d < bestDistance {
			best, bestDistance = f.Name, d
		}
	})
	if best == "" {
		return "; 'sekali serve --help' lists the names"
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's edit distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			previous = row[j+1]
			row[j+1] = slices.Min([]int{cost, row[j+1] + 1, row[j] + 1})
		}
	}
	return row[len(b)]
}
