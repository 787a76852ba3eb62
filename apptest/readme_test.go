package apptest_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// step is a command of a document and what it says that it prints.
type step struct{ command, output string }

// consoleSteps reads the ```console blocks of a document: "$ " begins a
// command, indented lines go on with it, all others are its output.
func consoleSteps(text string) []step {
	var steps []step
	for _, block := range fenced(text, "console") {
		for line := range strings.Lines(block) {
			last := len(steps) - 1
			switch {
			case strings.HasPrefix(line, "$ "):
				steps = append(steps, step{command: line[2:]})
			case strings.HasPrefix(line, "    "):
				steps[last].command += line
			default:
				steps[last].output += line
			}
		}
	}
	return steps
}

func fenced(text, language string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// volatile are the parts of an answer that differ from run to run.
var volatile = regexp.MustCompile(`"(processed_at|started_at|uptime_seconds|goroutines|request_id)":("[^"]*"|[0-9.]+)`)

func comparable(answer string) string { return volatile.ReplaceAllString(answer, `"$1":*`) }

// repository returns the root of the tree.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	return root
}

// cleanEnvironment is ours without the variables that configure a server.
func cleanEnvironment(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SEKALI_") && !strings.HasPrefix(v, "MAKE") {
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// startMakeRun runs the README's first command on a free port and in a data
// directory, and returns where the server is.
func startMakeRun(t *testing.T, dir string) (url string) {
	t.Helper()
	cmd := exec.Command("make", "run")
	cmd.Dir = repository(t)
	cmd.Env = cleanEnvironment("SEKALI_LISTEN=127.0.0.1:0", "SEKALI_DATA_DIR="+dir, "SEKALI_LOG_FORMAT=json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // make and its server; Wait tells of trouble
		_ = cmd.Wait()                                      // make reports the signal as an error
	})
	urls := make(chan string, 1)
	go func() {
		defer close(urls)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var entry struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "serving" {
				urls <- entry.URL
			}
		}
	}()
	select {
	case url := <-urls:
		require.NotEmpty(t, url, "make run ended before it served")
		return url
	case <-time.After(10 * time.Minute):
		require.Fail(t, "make run did not begin to serve")
		return ""
	}
}

func runShell(t *testing.T, dir, command string, variables ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir, cmd.Env = dir, cleanEnvironment(variables...)
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", command, out)
	return string(out)
}

func TestReadmeCommandsAnswerAsItSays(t *testing.T) {
	root := repository(t)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	data, work := t.TempDir(), t.TempDir()
	url := startMakeRun(t, data)
	steps := consoleSteps(string(text))
	require.GreaterOrEqual(t, len(steps), 7)
	for _, s := range steps {
		command := strings.ReplaceAll(s.command, "http://localhost:8080", url)
		require.NotEqual(t, s.command, command, "the command talks to the server")
		got := runShell(t, t.TempDir(), strings.Replace(command, "curl", "curl -sS", 1))
		require.Equal(t, comparable(s.output), comparable(got), s.command)
	}
	for _, block := range fenced(string(text), "bash") {
		for line := range strings.Lines(block) {
			if rest, ok := strings.CutPrefix(line, "bin/"); ok {
				runShell(t, work, filepath.Join(root, "bin")+"/"+rest, "SEKALI_DATA_DIR="+data)
			}
		}
	}
}

// TestReadmeComparisonCanFail is the control of the test above.
func TestReadmeComparisonCanFail(t *testing.T) {
	require.Equal(t, comparable(`{"seq":1,"processed_at":"2026"}`), comparable(`{"seq":1,"processed_at":"2027"}`))
	require.NotEqual(t, comparable(`{"seq":1,"processed_at":"2026"}`), comparable(`{"seq":2,"processed_at":"2026"}`))
	steps := consoleSteps("```console\n$ curl a \\\n    b\nout 1\nout 2\n$ curl c\n```\n")
	require.Equal(t, []step{{"curl a \\\n    b\n", "out 1\nout 2\n"}, {"curl c\n", ""}}, steps)
}

func TestDocumentsNameTargetsThatExist(t *testing.T) {
	root := repository(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, document := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join(root, document))
		require.NoError(t, err)
		named := regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, named)
		for _, m := range named {
			require.Regexp(t, `(?m)^`+m[1]+`:`, string(makefile), "%s says 'make %s'", document, m[1])
		}
	}
}
