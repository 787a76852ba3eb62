package sqlite_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"sekali/persistence/sqlite"
)

// holdVariable makes the test binary hold a data directory instead of running
// tests: the other process of the lock tests.
const holdVariable = "SQLITE_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdVariable); dir != "" {
		os.Exit(hold(dir))
	}
	goleak.VerifyTestMain(m)
}

// hold opens the store in dir, says so and keeps it until standard input ends.
func hold(dir string) int {
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // nowhere else to say it
		return 1
	}
	_, _ = os.Stdout.WriteString("holding\n") // the test waits for it
	_, _ = io.Copy(io.Discard, os.Stdin)      // ends with the test
	if err := store.Close(); err != nil {
		return 1
	}
	return 0
}
