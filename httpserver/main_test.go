package httpserver_test

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sekali/httpserver"
	"sekali/internal/openapitest"
	"sekali/webui"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/errors.md")

// TestMain runs the tests over buffers that are overwritten as soon as they are
// given back, then looks for goroutines that were left behind and
// for documented answers that no test has provoked.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" { // benchmarks measure what servers do
		httpserver.OverwriteBuffers()
	}
	goleak.VerifyTestMain(m,
		// It sees up to ten seconds late that its server has stopped.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// The clock of the Date header, one for the whole process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.Cleanup(func(code int) {
			if code == 0 {
				code = reportUncovered()
			}
			os.Exit(code)
		}))
}

// description is the API's own; every answer that a node of the harness gives
// is held against it.
var description struct {
	once    sync.Once
	checker *openapitest.Checker
}

func checker(t testing.TB) *openapitest.Checker {
	t.Helper()
	description.once.Do(func() { description.checker = openapitest.New(t, webui.OpenAPI()) })
	return description.checker
}

// reportUncovered returns the exit code for the documented answers that were
// never seen. It judges whole runs only.
func reportUncovered() int {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return 0
		}
	}
	if description.checker == nil {
		return 0
	}
	missing := description.checker.Uncovered()
	if len(missing) == 0 {
		return 0
	}
	fmt.Fprintln(os.Stderr, "answers of openapi.json that no test has provoked:")
	for _, answer := range missing {
		fmt.Fprintln(os.Stderr, "  "+answer)
	}
	return 1
}
