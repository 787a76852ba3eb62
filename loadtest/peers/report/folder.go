package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Folder is what a directory of results holds; either may be nil.
type Folder struct {
	Comparison, Growth *Set
}

// Load reads the results in a directory; it is an error when there are none.
func Load(dir string) (*Folder, error) {
	comparison, err := readIfThere(filepath.Join(dir, RawFile))
	if err != nil {
		return nil, err
	}
	growth, err := readIfThere(filepath.Join(dir, GrowthRawFile))
	if err == nil && comparison == nil && growth == nil {
		err = fmt.Errorf("there are no results in %s", dir)
	}
	return &Folder{comparison, growth}, err
}

func readIfThere(path string) (*Set, error) {
	s, err := Read(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case len(s.Results) == 0:
		return nil, fmt.Errorf("%s has no results", path)
	}
	return s, nil
}

// Markdown is the report, with its links into a folder.
func (f *Folder) Markdown(folder string) string {
	var text strings.Builder
	WriteMarkdown(&text, f.Comparison, f.Growth, folder)
	return text.String()
}

// Charts are the drawings by their file names.
func (f *Folder) Charts() map[string]string {
	charts := map[string]string{}
	if f.Comparison != nil {
		charts[ChartFile] = f.Comparison.Bars()
	}
	if f.Growth != nil {
		charts[GrowthFile] = f.Growth.Lines()
	}
	return charts
}

// WriteCharts draws into a directory.
func (f *Folder) WriteCharts(dir string) error {
	for name, text := range f.Charts() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { // It is for everyone to read.
			return err
		}
	}
	return nil
}

// The report of a page stands between these lines.
const (
	begin = "<!-- peers:begin -->"
	end   = "<!-- peers:end -->"
)

// Publish copies the results of a directory into the folder that is named like
// the page, and writes the report of all results there into the page.
func Publish(dir, page string) error {
	name := strings.TrimSuffix(filepath.Base(page), filepath.Ext(page))
	target := filepath.Join(filepath.Dir(page), name)
	if err := os.MkdirAll(target, 0o755); err != nil { // It is for everyone to read.
		return err
	}
	results, err := Load(dir)
	if err != nil {
		return err
	}
	for file, set := range map[string]*Set{RawFile: results.Comparison, GrowthRawFile: results.Growth} {
		if set == nil {
			continue
		}
		if err := set.Write(filepath.Join(target, file)); err != nil {
			return err
		}
	}
	all, err := Load(target)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	inserted, err := Insert(string(text), all.Markdown(name+"/"))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return errors.Join(all.WriteCharts(target), os.WriteFile(page, []byte(inserted), 0o644)) // It is for everyone to read.
}

// Insert puts a report between the marks of a page.
func Insert(page, report string) (string, error) {
	before, rest, foundBegin := strings.Cut(page, begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !foundBegin || !foundEnd {
		return "", fmt.Errorf("it has no place for the report: the lines %s and %s", begin, end)
	}
	return before + begin + "\n\n" + report + "\n" + end + after, nil
}
