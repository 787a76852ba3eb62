package loadtest_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// childMode is the variable that makes this test binary behave as a server, so
// that StartServer has a process to start.
const childMode = "LOADTEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" && len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(child(mode))
	}
	goleak.VerifyTestMain(m)
}

func child(mode string) int {
	if mode == "dies" {
		fmt.Fprintln(os.Stderr, "the disk is on fire")
		return 74
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if mode == "serves" {
		if len(os.Getenv("SEKALI_LISTEN")) > 0 {
			return 2 // Settings of the caller must not reach the server.
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 1
		}
		fmt.Fprintf(os.Stderr, "{\"msg\":\"serving\",\"url\":\"http://%s\"}\n", listener.Addr())
		go func() { _ = http.Serve(listener, newFake()) }() // It ends with the process.
	}
	<-stop
	if mode == "stops badly" {
		return 3
	}
	return 0
}
