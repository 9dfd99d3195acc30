package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/chanws/chanws/internal/leaktest"
)

// TestMain is also the main function of the processes that the tests start.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := runChild(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}
