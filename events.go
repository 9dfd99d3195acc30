package chanws

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/pump"
)

// An Event is what a connection delivers on [Conn.Events]: one of [Text],
// [Binary], [Ping], [Pong], [IdleTimeout], [Close] or [Error], and nothing else.
//
// The channel follows one grammar, whatever happens to the connection:
//
//	(Text | Binary | Ping | Pong | IdleTimeout)*  (Close | Error)  closed
//
// Events come in wire order. There is exactly one terminal event, it is always
// the last one, and it is always there.
type Event interface{ event() }

// A Message is what a connection takes on [Conn.Send] and in [Conn.Write]: one
// of [Text], [Binary], [Ping], [Pong] and [Close].
//
// Beware of loops that send back whatever is a Message: they send back pings
// and pongs too, and two such loops that face each other never rest. Switch on
// Text and Binary instead.
type Message interface{ message() }

// Text is a text message, RFC 6455 section 5.6. A received Text is always valid
// UTF-8. A Text to send must be, or it is refused with [ErrInvalidMessage].
type Text string

// Binary is a binary message, RFC 6455 section 5.6.
//
// The bytes of a received Binary belong to the receiver for good, unless it
// calls [Binary.Recycle]. The bytes of a Binary given to [Conn.Send] must not
// be changed afterwards by anybody; the library does not change them either, so
// that one message may be sent on many connections.
type Binary []byte

// Ping is a ping control frame, RFC 6455 section 5.5.2, of at most 125 bytes.
// Received pings have already been answered, unless [Options.ManualPong] is set.
type Ping []byte

// Pong is a pong control frame, RFC 6455 section 5.5.3, of at most 125 bytes.
// Pongs that answer the library's own keepalive ([Options.PingInterval]) are no
// events.
type Pong []byte

// Close is a close frame, RFC 6455 section 5.5.1.
//
// As an Event it is terminal: the peer's close frame, with
// [StatusNoStatusRcvd] when that carried no code. It is an error as well, so
// that a loop can return it and a caller can match it with errors.As.
//
// As a Message it starts the close handshake without waiting for its end: later
// messages are refused with net.ErrClosed. Reason holds at most 123 bytes of
// UTF-8; Code is one that may be sent, see [StatusCode]. Code 0 and
// [StatusNoStatusRcvd] send a close frame without a code; Reason is empty then.
type Close struct {
	Code   StatusCode
	Reason string
}

// IdleTimeout reports that for a whole period of [Options.IdleTimeout] no byte of any frame
// was received or sent, the library's own keepalive not counted. It closes nothing, and is
// delivered again after every further such period.
type IdleTimeout struct {
	// Idle is how long the connection has been idle.
	Idle time.Duration
}

// Error is the terminal event of a connection that did not end by the peer's close frame.
// Err is the reason; match it with errors.Is and errors.As:
//
//   - io.ErrUnexpectedEOF: the peer dropped or reset the TCP connection;
//   - os.ErrDeadlineExceeded: a timeout of [Options] expired;
//   - net.ErrClosed: [Conn.CloseNow] or [Listener.Close] ended it;
//   - *[ProtocolError]: the peer broke the protocol or a limit;
//   - [ErrOverflow]: the consumer was too slow for [CloseSlow].
type Error struct{ Err error }

func (Text) event()        {}
func (Binary) event()      {}
func (Ping) event()        {}
func (Pong) event()        {}
func (Close) event()       {}
func (IdleTimeout) event() {}
func (Error) event()       {}

func (Text) message()   {}
func (Binary) message() {}
func (Ping) message()   {}
func (Pong) message()   {}
func (Close) message()  {}

// Recycle returns the bytes of a received message for reuse. It is optional: a payload that
// is never recycled is ordinary garbage. After the call nobody may use the slice or any
// slice of it. Only payloads from 4 KiB to 16 MiB are kept. Under the race detector Recycle
// checks for misuse: recycling twice or writing after Recycle panics, and reading after
// Recycle returns filler bytes.
func (b Binary) Recycle() { pump.Recycle(b) }

// describe returns the kind and the size of a message, for errors and logs.
func describe(m Message) string {
	switch m := m.(type) {
	case Text:
		return fmt.Sprintf("text message of %d bytes", len(m))
	case Binary:
		return fmt.Sprintf("binary message of %d bytes", len(m))
	case Ping:
		return fmt.Sprintf("ping of %d bytes", len(m))
	case Pong:
		return fmt.Sprintf("pong of %d bytes", len(m))
	case Close:
		return fmt.Sprintf("close frame %v", m.Code)
	}
	return fmt.Sprintf("%T", m)
}

// Error returns the code, the reason, and for some codes what the other side of the
// connection can do about it.
func (c Close) Error() string {
	text := fmt.Sprintf("websocket closed: %v", c.Code)
	if c.Reason != "" {
		text += fmt.Sprintf(": %q", c.Reason)
	}
	switch c.Code {
	case StatusInvalidFramePayloadData:
		text += "; bytes that are not UTF-8 must be sent as binary messages"
	case StatusMessageTooBig:
		text += "; send smaller messages, or raise the limit of the side that closed (in chanws Options.MaxMessageSize and MaxFrameSize)"
	}
	return text
}

// Error returns the text of e.Err.
func (e Error) Error() string {
	if e.Err == nil {
		return "websocket failed"
	}
	return e.Err.Error()
}

// Unwrap returns e.Err.
func (e Error) Unwrap() error { return e.Err }

// CloseStatus returns the status code of the first [Close] in err's chain, or -1 if there
// is none.
func CloseStatus(err error) StatusCode {
	var c Close
	if errors.As(err, &c) {
		return c.Code
	}
	return -1
}

// A ProtocolError is what the peer did wrong: it broke RFC 6455 or a limit of
// [Options]. Code is the status code of the close frame that answered it.
type ProtocolError struct {
	Code   StatusCode
	Reason string
}

// Error returns the reason and the code. The reason names the option for a limit
// that was exceeded.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("websocket protocol: %s (%v)", e.Reason, e.Code)
}

var (
	// ErrInvalidMessage is matched by the error for a message that cannot be
	// sent: a Ping or Pong of more than 125 bytes, a Close with a code that must
	// not be sent or a reason of more than 123 bytes, text that is not UTF-8, nil.
	// The connection is unharmed.
	ErrInvalidMessage = pump.ErrInvalidMessage

	// ErrOverflow is matched by the error for an event that found the event
	// channel full; see [Options.Overflow] and [Options.OnDrop].
	ErrOverflow = pump.ErrOverflow

	errNilContext = pump.ErrNilContext
)

// types makes events for the pumps and reads messages for them.
var types = pump.Types[Event, Message]{
	Text:     func(s string) Event { return Text(s) },
	Binary:   func(b []byte) Event { return Binary(b) },
	Ping:     func(b []byte) Event { return Ping(b) },
	Pong:     func(b []byte) Event { return Pong(b) },
	Idle:     func(d time.Duration) Event { return IdleTimeout{d} },
	Closed:   func(code int, reason string) Event { return Close{StatusCode(code), reason} },
	Failed:   func(err error) Event { return Error{publicError(err)} },
	Message:  func(ev Event) (Message, bool) { m, ok := ev.(Message); return m, ok },
	Outgoing: outgoing,
}

// outgoing returns what to write for m.
func outgoing(m Message) pump.Outgoing {
	switch m := m.(type) {
	case Text:
		// The bytes of a string are only read.
		return pump.Outgoing{Opcode: frame.Text, Payload: unsafe.Slice(unsafe.StringData(string(m)), len(m))}
	case Binary:
		return pump.Outgoing{Opcode: frame.Binary, Payload: m}
	case Ping:
		return pump.Outgoing{Opcode: frame.Ping, Payload: m}
	case Pong:
		return pump.Outgoing{Opcode: frame.Pong, Payload: m}
	case Close:
		return pump.Outgoing{Opcode: frame.Close, Code: int(m.Code), Reason: m.Reason}
	case nil:
		return pump.Outgoing{Invalid: "nil: want Text, Binary, Ping, Pong or Close"}
	}
	return pump.Outgoing{Invalid: fmt.Sprintf("%T is no message type: want Text, Binary, Ping, Pong or Close", m)}
}

// publicError returns an error of the pumps in the form that users see: a protocol error of
// the peer as a *ProtocolError.
func publicError(err error) error {
	var breach *frame.Error
	switch {
	case !errors.As(err, &breach):
	case errors.Is(err, ErrOverflow):
		return fmt.Errorf("chanws: %s, and Options.Overflow is CloseSlow: %w", breach.Reason, ErrOverflow)
	default:
		return &ProtocolError{Code: StatusCode(breach.Code), Reason: breach.Reason}
	}
	return err
}
