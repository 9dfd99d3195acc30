package pump

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

var (
	// ErrInvalidMessage is matched by the error for a message that cannot be sent.
	ErrInvalidMessage = errors.New("invalid message")
	// ErrOverflow is matched by the error for an event that found the channel full.
	ErrOverflow = errors.New("event channel full")
)

// errClosing is what a message gets that comes after our close frame.
var errClosing = fmt.Errorf("chanws: write after the close frame: %w", net.ErrClosed)

// errClosedNow is the end of a connection by CloseNow.
var errClosedNow = fmt.Errorf("chanws: connection closed without a close handshake: %w", net.ErrClosed)

// A violation is a breach that matches is besides the close code it deserves.
type violation struct {
	breach *frame.Error
	is     error
}

func (v *violation) Error() string { return v.breach.Error() }

func (v *violation) Unwrap() []error { return []error{v.breach, v.is} }

// A dropped connection: the peer is gone without a close frame. It matches
// io.ErrUnexpectedEOF besides what it wraps.
type dropped struct{ err error }

func (d *dropped) Error() string {
	if d.err == io.EOF || d.err == io.ErrUnexpectedEOF {
		return "chanws: connection dropped by the peer without a close frame"
	}
	return "chanws: connection dropped: " + d.err.Error()
}

func (d *dropped) Unwrap() error { return d.err }

func (d *dropped) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// goneErrors are what the system says when the peer, or the way to it, is gone.
var goneErrors = []error{
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
	syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENOTCONN,
}

// networkError gives an error of the stream as the user is to see it.
func networkError(operation string, err error) error {
	for _, gone := range append(goneErrors, systemGoneErrors...) {
		if errors.Is(err, gone) {
			return &dropped{err}
		}
	}
	return fmt.Errorf("chanws: %s: %w", operation, err)
}

// timeoutError is the end of somebody's patience. It matches os.ErrDeadlineExceeded.
func timeoutError(what string, limit time.Duration, cause error) error {
	return fmt.Errorf("chanws: %s within %v: %w", what, limit, cause)
}
