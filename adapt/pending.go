package adapt

import (
	"context"
	"time"

	"github.com/chanws/chanws"
)

// What is here waits for methods of chanws.Conn, and does its best until they exist.

// flush returns when everything that was written before is with the operating system.
// Until Conn has a Flush, an unsolicited pong (RFC 6455 section 5.5.3) marks the place
// in the line.
func flush(ctx context.Context, conn *chanws.Conn) error {
	if f, ok := any(conn).(interface{ Flush(context.Context) error }); ok {
		return f.Flush(ctx)
	}
	return conn.Write(ctx, chanws.Pong(nil))
}

// unwritable is closed when nothing that is sent will be written any more. Until Conn
// has a Closing, that is known only at its end; after a write that failed, messages
// are discarded until then.
func unwritable(conn *chanws.Conn) <-chan struct{} {
	if c, ok := any(conn).(interface{ Closing() <-chan struct{} }); ok {
		return c.Closing()
	}
	return conn.Done()
}

// setCloseTimeout gives a close that is about to begin a time other than
// Options.CloseTimeout. Until Conn has such a method, that remains the upper bound.
func setCloseTimeout(conn *chanws.Conn, d time.Duration) {
	if s, ok := any(conn).(interface{ SetCloseTimeout(time.Duration) }); ok {
		s.SetCloseTimeout(d)
	}
}
