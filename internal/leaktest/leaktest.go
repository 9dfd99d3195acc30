// Package leaktest fails a package's tests when a goroutine survives them.
package leaktest

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience bounds how long a goroutine that is about to end may take.
const patience = 5 * time.Second

// Main is a package's TestMain: it runs the tests, and exits with 1 when they fail or
// leave a goroutine behind.
func Main(m *testing.M) {
	os.Exit(verdict(m.Run(), patience, os.Stderr))
}

// verdict gives the exit code after tests that ended with code, and tells why.
func verdict(code int, patience time.Duration, w io.Writer) int {
	if code != 0 {
		return code
	}
	left := survivors(patience)
	if len(left) == 0 {
		return 0
	}
	fmt.Fprintf(w, "FAIL: %d goroutines survived the tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	return 1
}

// Survivors gives the stacks of the goroutines that do not end: all but the caller's and
// those of the test binary itself.
func Survivors() []string { return survivors(patience) }

func survivors(patience time.Duration) []string {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := others()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// others gives the stacks of all goroutines but the one that calls it and those of
// the testing package and the runtime.
func others() []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(strings.TrimSpace(string(buf[:runtime.Stack(buf, true)])), "\n\n")
	var left []string
	for _, stack := range stacks[1:] {
		if !ours(stack) {
			left = append(left, stack)
		}
	}
	return left
}

// ours tells whether a goroutine belongs to the test binary itself.
func ours(stack string) bool {
	for _, frame := range []string{
		"testing.(*M).startAlarm", "testing.runFuzzing", "testing.runTests", "testing.(*F).Fuzz",
		"os/signal.signal_recv", "os/signal.loop", "runtime.ensureSigM", "runtime/trace.Start",
		"runtime/pprof.profileWriter", "internal/fuzz.",
	} {
		if strings.Contains(stack, frame) {
			return true
		}
	}
	return false
}
