package archtest

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// packageTexts returns the package comments in a folder, tests left out.
func packageTexts(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var texts []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		require.NoError(t, err)
		if f.Doc != nil {
			texts = append(texts, f.Doc.Text())
		}
	}
	return texts
}

func TestEveryPackageSaysOnceWhatItOwns(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{if .GoFiles}}{{.ImportPath}} {{.Dir}}{{end}}", "sekali/...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		path, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		texts := packageTexts(t, dir)
		require.Len(t, texts, 1, "%s should have one package text, in one file", path)
		require.Regexp(t, `^(Package|Command) [a-z]+ `, texts[0], path)
	}
}

// TestLibcIsTheOneThatSQLiteWasMadeWith: the translated SQLite and its libc
// are one piece of software in two modules; other pairs are not tested by
// anyone.
func TestLibcIsTheOneThatSQLiteWasMadeWith(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", "modernc.org/sqlite").Output()
	require.NoError(t, err)
	var module struct{ GoMod, Version string }
	require.NoError(t, json.Unmarshal(out, &module))
	text, err := os.ReadFile(module.GoMod)
	require.NoError(t, err)
	wanted := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindStringSubmatch(string(text))
	require.Len(t, wanted, 2)
	out, err = exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "modernc.org/libc").Output()
	require.NoError(t, err)
	require.Equal(t, wanted[1], strings.TrimSpace(string(out)))
}
