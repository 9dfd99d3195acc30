package chanws

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/pump"
)

// vocabulary tells the pumps how events are made and messages are read.
var vocabulary = pump.Types[Event, Message]{
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

// outgoing tells the write pump what to write for m.
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

// publicError gives an error of the pumps as the user is to see it: a breach by the
// peer as a *ProtocolError.
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
