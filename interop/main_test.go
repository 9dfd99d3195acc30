package interop

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine of a connection has survived the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range atExit {
		end()
	}
	if survivors := awaitNoGoroutines("chanws/internal/pump."); survivors != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines of connections have survived:\n%s\n", survivors)
		code = 1
	}
	os.Exit(code)
}

// atExit is called after the tests.
var atExit []func()

// awaitNoGoroutines gives the stacks in which function occurs, once there are none
// or patience has run out.
func awaitNoGoroutines(function string) string {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		buf := make([]byte, 4<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var found []string
		for _, stack := range strings.Split(string(buf), "\n\n") {
			if strings.Contains(stack, function) {
				found = append(found, stack)
			}
		}
		if len(found) == 0 || time.Now().After(deadline) {
			return strings.Join(found, "\n\n")
		}
	}
}
