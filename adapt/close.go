package adapt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
)

// closeLinger is how long a close that nobody waits for gives the peer to answer.
// Cutting at once could destroy the close frame on its way.
const closeLinger = time.Second

// Close closes the connection: what is in line is written, then a close frame, and
// the peer has the service's CloseTimeout to answer, 60 s by default. Close waits for
// that, also within a callback, where nothing is held up by it but the callbacks
// themselves. OnClose is called afterwards, with the code of the answer.
//
// Code 0 or [chanws.StatusNoStatusRcvd] sends a close frame without a code; reason must
// be "" then.
//
// Close returns nil if the connection ended with both close frames, whatever code was
// answered, also when the peer had closed before. Otherwise the error is a
// *[ClosureError]: see the package's documentation for what it matches. A second
// Close is such an error, at once. The connection has ended when Close returns, but
// for a code or reason that must not be sent: then it is unharmed.
func (c *Caller) Close(code chanws.StatusCode, reason string) error {
	return c.close(chanws.Close{Code: code, Reason: reason}, 0)
}

// CloseTimeout is [Caller.Close] with a time of its own for the answer. With 0 it does
// not wait, and leaves it to the background to give the peer a second; with -1 it
// waits for ever, be it -1 or -1 s. Other negative times match [ErrInvalidTimeout],
// and nothing is closed.
func (c *Caller) CloseTimeout(code chanws.StatusCode, reason string, d time.Duration) error {
	end := chanws.Close{Code: code, Reason: reason}
	switch {
	case d == -1 || d == -time.Second:
		return c.close(end, -1)
	case d < 0:
		return fmt.Errorf("adapt: close: %w: %v: want 0 or more, or -1 to wait without limit", ErrInvalidTimeout, d)
	case d > 0:
		return c.close(end, d)
	}
	if err := checkClose(end); err != nil {
		return &ClosureError{"close", err}
	}
	if !c.closeBehind(end, closeLinger) {
		return &ClosureError{"close", errCloseSent}
	}
	return nil
}

// CloseNow cuts the connection without a close frame; the peer sees 1006. It cuts a
// running Close short. OnError is called afterwards, with an error that matches
// net.ErrClosed. CloseNow returns nil, or an error that matches net.ErrClosed after
// another close.
func (c *Caller) CloseNow() error {
	conn, _ := c.beginClose()
	return conn.CloseNow()
}

func (c *Caller) close(end chanws.Close, d time.Duration) error {
	if err := checkClose(end); err != nil {
		return &ClosureError{"close", err}
	}
	conn, first := c.beginClose()
	if !first {
		return &ClosureError{"close", errCloseSent}
	}
	return shake(conn, end, d)
}

// closeBehind closes and does not wait. It tells whether it was the first to close.
func (c *Caller) closeBehind(end chanws.Close, d time.Duration) bool {
	conn, first := c.beginClose()
	if first {
		c.spawn(func() {
			if err := shake(conn, end, d); err != nil {
				c.log().Debug("websocket close", "err", err)
			}
		})
	}
	return first
}

// beginClose makes the first caller the one who closes. From its return on nothing is
// written, no callback gets a message, and nobody connects again.
func (c *Caller) beginClose() (conn *chanws.Conn, first bool) {
	c.mu.Lock()
	first = !c.closed.Swap(true)
	conn = c.conn.Load()
	c.mu.Unlock()
	if c.leave != nil {
		c.leave()
	}
	return conn, first
}

// shake does the close handshake, in at most d; 0 is the connection's own time, a
// negative d for ever.
func shake(conn *chanws.Conn, end chanws.Close, d time.Duration) error {
	if over := conn.Err(); over != nil {
		var closed chanws.Close
		if errors.As(over, &closed) {
			return nil
		}
		return &ClosureError{"close", over}
	}
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if d != 0 {
		conn.SetCloseTimeout(d)
	}
	if d > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer to the close frame within %v: %w", d, os.ErrDeadlineExceeded))
	}
	defer cancel()
	err := conn.CloseContext(ctx, end.Code, end.Reason)
	var closed chanws.Close
	switch {
	case err == nil, errors.As(err, &closed):
		return nil
	case errors.Is(err, net.ErrClosed):
		<-conn.Done() // somebody else's close, of which Err tells more
		if err = conn.Err(); errors.As(err, &closed) {
			return nil
		}
	}
	return &ClosureError{"close", err}
}

// checkClose returns an error that says why a close frame cannot be sent, or nil.
func checkClose(end chanws.Close) error {
	return invalid(frame.CheckClose(int(end.Code), end.Reason))
}

// invalid makes an error match ErrInvalidMessage, unless it is nil.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", chanws.ErrInvalidMessage, err)
}

// fit makes a close reason of a text: valid UTF-8, cut at a character boundary.
func fit(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= frame.MaxReason {
		return reason
	}
	cut := frame.MaxReason
	for !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return reason[:cut]
}
