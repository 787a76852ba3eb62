package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	namedTest   = regexp.MustCompile("`((?:[a-z]+[./])+)((?:Test|Fuzz)[A-Za-z0-9]+)")
	definedTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestTheDocumentsNameTestsThatExist keeps promises and the tests that hold
// them together: a document names a test as `package.TestName`.
func TestTheDocumentsNameTestsThatExist(t *testing.T) {
	defined := make(map[string]bool) // by "package.TestName", the package being a folder's name
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if match, _ := filepath.Match("*_test.go", d.Name()); !match {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range definedTest.FindAllSubmatch(text, -1) {
			defined[filepath.Base(filepath.Dir(path))+"."+string(m[1])] = true
		}
		return err
	}))
	for _, document := range []string{"durability.md", "security.md", "faults.md", "operations.md"} {
		t.Run(document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, "docs", document))
			require.NoError(t, err)
			names := namedTest.FindAllSubmatch(text, -1)
			for _, m := range names {
				name := filepath.Base(string(m[1][:len(m[1])-1])) + "." + string(m[2])
				require.True(t, defined[name], "%s is named and does not exist", name)
			}
			if document == "durability.md" {
				require.Greater(t, len(names), 10)
			}
		})
	}
}
