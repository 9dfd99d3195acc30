package chanws

import (
	"runtime"
	"strings"
	"time"

	"github.com/chanws/chanws/internal/pump"
)

// freeUnreachable is a safety net for a Conn that its user has forgotten to close: when
// it has ended and nobody can reach it any more, its last goroutine ends. Nothing that
// the pumps hold may lead back to the Conn.
func freeUnreachable(c *Conn) {
	// A cleanup runs outside of every bubble of testing/synctest, and must not touch
	// the channels of one.
	if !inBubble() {
		runtime.AddCleanup(c, (*pump.Pump[Event, Message]).Abandon, c.pump)
	}
}

// inBubble reports whether the caller runs in a bubble of testing/synctest. The clock of
// a bubble has no monotonic reading, which Time's String shows.
func inBubble() bool { return !strings.Contains(time.Now().String(), " m=") }
