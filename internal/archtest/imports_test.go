package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule says what the packages under a path may import of ours and of others.
type rule struct {
	under  string   // import path, and what lies below it
	ours   []string // our packages it may import, and what lies below them
	others []string // prefixes of other modules' packages
	reason string
}

const (
	protoactor = "github.com/asynkron/protoactor-go"
	fasthttp   = "github.com/valyala/fasthttp"
	jsontext   = "github.com/go-json-experiment/json"
)

// rules is ordered: the first one that fits a package holds.
var rules = []rule{
	{
		"sekali/cmd",
		[]string{"sekali"},
		[]string{"github.com/spf13", "github.com/dustin/go-humanize", "go.yaml.in/yaml", "golang.org/x/term"},
		"cmd is the only place that wires, so it may import every package of ours; libraries for anything but the command line belong into the package that uses them",
	},
	{
		"sekali/persistence/storetest",
		[]string{"sekali"},
		[]string{"github.com/stretchr/testify"},
		"the conformance suite knows what every store promises and no store",
	},
	{
		"sekali/persistence/keyfile",
		[]string{"sekali/access"},
		[]string{jsontext},
		"the file of keys knows what keys are and nothing of events, actors or HTTP",
	},
	{
		"sekali/persistence/crashvfs",
		nil,
		[]string{"modernc.org/sqlite", "modernc.org/libc", "github.com/cespare/xxhash"},
		"the disk that fails on request knows SQLite's tables of functions and no store",
	},
	{
		"sekali/persistence",
		[]string{"sekali"},
		[]string{"modernc.org/sqlite", "github.com/cespare/xxhash", "github.com/dchest/siphash", jsontext},
		"a store knows the domain and its database and nothing of actors or HTTP, so that stores can be exchanged",
	},
	{
		"sekali/actors",
		[]string{"sekali"},
		[]string{protoactor},
		"the engine knows the domain's Store interface, never a store, and nothing of HTTP",
	},
	{
		"sekali/access",
		[]string{"sekali"},
		nil,
		"who may do what is decided without HTTP and without files, so that every store of keys and every front end decide alike",
	},
	{
		"sekali/httpserver",
		[]string{"sekali", "sekali/access", "sekali/webui"},
		[]string{fasthttp, jsontext, "github.com/klauspost/compress"},
		"HTTP comes in, calls of the domain go out: the server declares the interfaces that it needs and does not see the actors",
	},
	{"sekali/webui", nil, nil, "embedded files need nothing"},
	{"sekali/client", []string{"sekali"}, []string{jsontext}, "other programs import the client: it stays small"},
	{
		"sekali/loadtest/ceiling",
		[]string{"sekali/persistence/writeback"},
		[]string{"modernc.org/sqlite", fasthttp},
		"the ceilings are what the server's own libraries do without the server: the same database flushed in the same way, the same HTTP library, nothing else of ours",
	},
	{
		"sekali/loadtest",
		[]string{"sekali", "sekali/client", "sekali/internal/progress"},
		[]string{"github.com/HdrHistogram/hdrhistogram-go"},
		"the load test sees the server as any client does",
	},
	{
		"sekali/apptest",
		[]string{"sekali", "sekali/client", "sekali/internal/prove", "sekali/internal/testcert"},
		[]string{"github.com/stretchr/testify"},
		"black-box tests see the binary as a user does",
	},
	{
		"sekali/internal",
		[]string{"sekali/internal"},
		[]string{"github.com/schollz/progressbar", "github.com/dustin/go-humanize", "github.com/santhosh-tekuri/jsonschema", "github.com/stretchr/testify"},
		"internal helpers have no domain meaning",
	},
	{"sekali", nil, nil, "the domain is plain data for everyone: standard library only"},
}

// exclusive libraries stay in one package, so that they could be exchanged, and
// in the ceilings that this package is measured against.
var exclusive = map[string][]string{
	protoactor:           {"sekali/actors"},
	fasthttp:             {"sekali/httpserver", "sekali/loadtest/ceiling"},
	"modernc.org/sqlite": {"sekali/persistence", "sekali/loadtest/ceiling"},
	"database/sql":       {"sekali/persistence", "sekali/loadtest/ceiling"},
}

type goPackage struct {
	ImportPath string
	Imports    []string

	TestImports, XTestImports []string
}

// checked returns the imports that the rules hold for: those of the tests,
// too, where a package is nothing but tests.
func (p *goPackage) checked() []string {
	if under(p.ImportPath, "sekali/apptest") {
		return slices.Concat(p.Imports, p.TestImports, p.XTestImports)
	}
	return p.Imports
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "sekali/...")
	out, err := cmd.Output()
	require.NoError(t, err)
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func ruleFor(path string) *rule {
	for i := range rules {
		if under(path, rules[i].under) {
			return &rules[i]
		}
	}
	return nil
}

// violation returns why a package may not import another, or "".
func violation(from, imported string) string {
	for library, owners := range exclusive {
		isOwner := func(owner string) bool { return under(from, owner) }
		if under(imported, library) && !slices.ContainsFunc(owners, isOwner) {
			return "types of " + library + " do not leave " + strings.Join(owners, " and ")
		}
	}
	if isStandard(imported) {
		return ""
	}
	r := ruleFor(from)
	if under(imported, r.under) && r.under != "sekali" {
		return ""
	}
	if under(imported, "sekali") {
		if under(imported, "sekali/cmd") {
			return "nothing imports cmd: it is where everything comes together"
		}
		for _, allowed := range r.ours {
			if imported == allowed || (r.under == "sekali/cmd" && under(imported, allowed)) {
				return ""
			}
		}
		return r.reason
	}
	for _, allowed := range r.others {
		if under(imported, allowed) {
			return ""
		}
	}
	return r.reason
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "sekali"
}

func TestImportsGoTheWayOfTheArchitecture(t *testing.T) {
	packages := listPackages(t)
	require.Greater(t, len(packages), 8, "go list found the packages")
	for _, p := range packages {
		for _, imported := range p.checked() {
			if why := violation(p.ImportPath, imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
	}
}

// TestRulesCatchWhatTheyForbid is the control: the rules can fail.
func TestRulesCatchWhatTheyForbid(t *testing.T) {
	for _, c := range []struct{ from, imported string }{
		{"sekali", "github.com/spf13/cobra"},
		{"sekali", "sekali/actors"},
		{"sekali", "database/sql"},
		{"sekali/actors", "sekali/persistence/sqlite"},
		{"sekali/actors", "sekali/httpserver"},
		{"sekali/actors", fasthttp},
		{"sekali/httpserver", "sekali/actors"},
		{"sekali/httpserver", "sekali/persistence/keyfile"},
		{"sekali/access", "sekali/persistence/keyfile"},
		{"sekali/access", fasthttp},
		{"sekali/httpserver", protoactor + "/actor"},
		{"sekali/persistence/sqlite", "sekali/actors"},
		{"sekali/client", "sekali/httpserver"},
		{"sekali/loadtest", "sekali/persistence/sqlite"},
		{"sekali/loadtest", "modernc.org/sqlite"},
		{"sekali/loadtest/ceiling", "sekali/persistence/sqlite"},
		{"sekali/client", "sekali/cmd/sekali"},
		{"sekali/cmd/sekali", fasthttp},
		{"sekali/apptest", "sekali/persistence/sqlite"},
		{"sekali/apptest/container", "sekali/actors"},
	} {
		require.NotEmpty(t, violation(c.from, c.imported), "%s -> %s", c.from, c.imported)
	}
}
