package adapt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"unicode/utf8"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
)

// WriteTextMessage puts a text message in line. s must be valid UTF-8.
func (c *Caller) WriteTextMessage(s string) error {
	return c.write(c.Conn(), "write text message", chanws.Text(s))
}

// WriteBinaryMessage puts a copy of b in line. To send one message on many
// connections without copying it, give a [chanws.Binary] to [Caller.WriteMessage].
func (c *Caller) WriteBinaryMessage(b []byte) error {
	return c.write(c.Conn(), "write binary message", chanws.Binary(slices.Clone(b)))
}

// WriteMessage puts a message in line that it makes of v:
//
//   - a [chanws.Message] as it is; the bytes of a [chanws.Binary] must not be changed
//     afterwards, and a [chanws.Close] closes without waiting for the answer;
//   - a string, and a value of a string type, as text, with its MarshalText if there
//     is one; bytes, and a value of a byte slice type, as a binary message;
//   - everything else, and what has a MarshalJSON, as JSON in a text message.
//
// nil is no message, and neither is what JSON cannot express: both match
// [chanws.ErrInvalidMessage].
func (c *Caller) WriteMessage(v any) error { return c.writeValue(c.Conn(), v) }

func (c *Caller) writeValue(conn *chanws.Conn, v any) error {
	const op = "write message"
	if end, ok := v.(chanws.Close); ok {
		if err := checkClose(end); err != nil {
			return &ClosureError{op, err}
		}
		if !c.closeBehind(end, 0) {
			return &ClosureError{op, errCloseSent}
		}
		return nil
	}
	m, err := encode(v)
	if err != nil {
		return fmt.Errorf("adapt: %s: %w", op, err)
	}
	return c.write(conn, op, m)
}

// Ping puts a ping with at most 125 bytes of data in line. Its pong goes to OnPong.
func (c *Caller) Ping(data []byte) error {
	return c.write(c.Conn(), "ping", chanws.Ping(slices.Clone(data)))
}

// Pong puts a pong with at most 125 bytes of data in line: the answer to a ping with
// ManualPong, or a heartbeat that nobody asked for.
func (c *Caller) Pong(data []byte) error {
	return c.write(c.Conn(), "pong", chanws.Pong(slices.Clone(data)))
}

// Flush waits until everything that this goroutine has written before is with the
// operating system. Its error is the one that keeps that from happening: after a write
// that failed it matches what that failed with, and net.ErrClosed while the peer's last
// words are still read.
func (c *Caller) Flush() error {
	const op = "flush"
	conn := c.Conn()
	if err := c.refusal(conn, op); err != nil {
		return err
	}
	err := conn.Flush(context.Background())
	if err == nil {
		return nil
	}
	if refusal := c.refusal(conn, op); refusal != nil {
		return refusal
	}
	return ended(op, err)
}

// write puts m in line on conn.
func (c *Caller) write(conn *chanws.Conn, op string, m chanws.Message) error {
	if err := checkMessage(m); err != nil {
		return fmt.Errorf("adapt: %s: %w", op, err)
	}
	if err := c.refusal(conn, op); err != nil {
		return err
	}
	select {
	case conn.Send <- m:
		return nil
	default:
	}
	select {
	case conn.Send <- m:
		return nil
	case <-conn.Closing():
		return c.refusal(conn, op)
	}
}

// refusal tells why nothing is taken any more, or nil.
func (c *Caller) refusal(conn *chanws.Conn, op string) error {
	if c.closed.Load() {
		return &ClosureError{op, errCloseSent}
	}
	select {
	case <-conn.Closing():
	default:
		return nil
	}
	cause := conn.Flush(context.Background()) // comes at once: nothing is taken any more
	if end := conn.Err(); end != nil {
		return ended(op, end)
	}
	if errors.Is(cause, net.ErrClosed) {
		cause = nil // a close frame of others, and the ClosureError says the same
	}
	return &ClosureError{op, &unwritableError{conn, cause}}
}

// ended is the error of an operation that came after the end, or too near to it.
func ended(op string, end error) error {
	var closed chanws.Close
	if errors.As(end, &closed) || errors.Is(end, net.ErrClosed) {
		return &ClosureError{op, end}
	}
	return fmt.Errorf("adapt: %s: %w", op, end)
}

// checkMessage returns an error that says why a message cannot be sent, or nil.
func checkMessage(m chanws.Message) error {
	switch m := m.(type) {
	case chanws.Text:
		if !utf8.ValidString(string(m)) {
			return invalid(frame.CheckText([]byte(m)))
		}
	case chanws.Ping:
		return invalid(frame.CheckControl(frame.Ping, len(m)))
	case chanws.Pong:
		return invalid(frame.CheckControl(frame.Pong, len(m)))
	case chanws.Binary:
	default: // a pointer has the methods of what it points to
		return invalid(fmt.Errorf("%T is no message type: want chanws.Text, Binary, Ping, Pong or Close", m))
	}
	return nil
}
