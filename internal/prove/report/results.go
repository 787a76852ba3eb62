package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekali/internal/prove"
)

// result is one file of results.
type result struct {
	prove.Result
	at time.Time // when it was written
}

// readResults returns the results of a folder by row, controls behind what
// they are controls of.
func readResults(folder string) ([]result, error) {
	files, err := filepath.Glob(filepath.Join(folder, "Test*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there are no results in %s; run 'make prove'", folder)
	}
	var results []result
	for _, file := range files {
		r, err := readResult(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.Row, b.Row), compareBool(a.Control, b.Control), cmp.Compare(a.Test, b.Test))
	})
	return results, nil
}

func readResult(file string) (r result, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return r, err
	}
	r.at = info.ModTime()
	return r, json.Unmarshal(text, &r.Result)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// withoutResult returns the tests named in a file, one a line, that neither
// have a result nor a part that has one. "" names none.
func withoutResult(file string, results []result) (missing []string, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for test := range strings.FieldsSeq(string(text)) {
		if !slices.ContainsFunc(results, func(r result) bool { return r.Test == test || strings.HasPrefix(r.Test, test+"/") }) {
			missing = append(missing, test)
		}
	}
	return missing, nil
}

// failures returns what went wrong, nil when every test passed or said why it
// cannot run here.
func failures(results []result, missing []string) (err error) {
	for _, r := range results {
		if !r.Passed {
			err = errors.Join(err, fmt.Errorf("%s failed", r.Test))
		}
	}
	for _, test := range missing {
		err = errors.Join(err, fmt.Errorf("%s has no result: it failed before it could tell", test))
	}
	return err
}
