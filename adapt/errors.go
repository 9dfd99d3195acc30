package adapt

import (
	"errors"
	"fmt"
	"net"

	"github.com/chanws/chanws"
)

var (
	// ErrInvalidService is matched by the error for a [Service] that cannot work.
	ErrInvalidService = errors.New("invalid service")
	// ErrInvalidTimeout is matched by the error of [Caller.CloseTimeout] for a
	// negative timeout.
	ErrInvalidTimeout = errors.New("invalid timeout")
	// ErrNotAttached is matched by the error of [Listener.Detach] for a pattern that
	// has no service.
	ErrNotAttached = errors.New("no service attached")
)

// errCloseSent is what comes after this side has begun to close.
var errCloseSent = errors.New("this side has already closed the connection")

// An unwritableError is what comes between a close frame that others have sent, or a
// write that failed, and the end of conn.
type unwritableError struct {
	conn  *chanws.Conn
	cause error // of the write that failed; else nil
}

func (e *unwritableError) Error() string {
	const text = "nothing can be written any more: the connection is closing"
	if e.cause == nil {
		return text
	}
	return "nothing can be written any more: " + e.cause.Error()
}

func (e *unwritableError) Unwrap() error { return e.cause }

// foretells tells whether err is one that comes shortly before the end of conn.
func foretells(err error, conn *chanws.Conn) bool {
	var early *unwritableError
	return errors.As(err, &early) && early.conn == conn
}

// A ClosureError is what goes wrong around a close: a write or another close after
// it, a code or reason that must not be sent, an answer that does not come. It
// matches net.ErrClosed, unless the connection is unharmed because code or reason
// were invalid.
type ClosureError struct {
	Op  string // "write text message"
	Err error
}

// Error tells what was done, and what was wrong.
func (e *ClosureError) Error() string { return "adapt: " + e.Op + ": " + e.Err.Error() }

// Unwrap gives e.Err.
func (e *ClosureError) Unwrap() error { return e.Err }

// Is tells that e matches net.ErrClosed.
func (e *ClosureError) Is(target error) bool {
	return target == net.ErrClosed && !errors.Is(e.Err, chanws.ErrInvalidMessage)
}

// A PanicError is the panic of a callback.
type PanicError struct {
	Callback string // "OnTextMessage"
	Value    any    // what the callback panicked with
	Stack    []byte // of the goroutine, as runtime/debug.Stack formats it
}

// Error tells the callback and the value.
func (e *PanicError) Error() string {
	return fmt.Sprintf("adapt: panic in %s: %v", e.Callback, e.Value)
}

// Unwrap gives e.Value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// UpgradeError is returned by an [UpgradeFunc] to refuse the handshake with an answer
// of its choice. StatusCode 0 is 400 here.
type UpgradeError = chanws.HTTPError

// An AuthnError refuses a handshake because nobody knows who the client is: 401. To
// name a challenge in the answer, use an [UpgradeError] with a header.
type AuthnError struct {
	Message string // body of the answer
}

// Error is the message.
func (e *AuthnError) Error() string { return orText(e.Message, "not authenticated") }

// An AuthzError refuses a handshake because the client may not do that: 403.
type AuthzError struct {
	Message string // body of the answer
}

// Error is the message.
func (e *AuthzError) Error() string { return orText(e.Message, "not authorized") }

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// A bindingError is a message that a handler of [JSON]'s kind could not decode. It is
// a type of its own, so that nobody else's *chanws.DecodeError is taken for it.
type bindingError struct{ *chanws.DecodeError }

func (e bindingError) Unwrap() error { return e.DecodeError }

// A streamError is a stream that failed.
type streamError struct{ err error }

func (e *streamError) Error() string { return "adapt: streaming failed: " + e.err.Error() }

func (e *streamError) Unwrap() error { return e.err }
