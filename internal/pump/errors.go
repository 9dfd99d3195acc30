package pump

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

// ErrNilContext is returned instead of a panic for a nil context.
var ErrNilContext = errors.New("chanws: nil context: want context.Background() or another")

// A ClosedError is a text that says what was closed, and by whom. It matches
// net.ErrClosed, whose own text says neither.
type ClosedError string

func (e ClosedError) Error() string { return string(e) }

// Unwrap returns net.ErrClosed.
func (e ClosedError) Unwrap() error { return net.ErrClosed }

const (
	// errClosing is the error of a message that comes after our close frame.
	errClosing ClosedError = "chanws: write after a close frame was sent"
	// errTooLate is the error of a message on Send that nothing writes any more.
	errTooLate ClosedError = "chanws: message sent after the connection ended, or after its close frame"
	// errClosedNow is the end of a connection by CloseNow.
	errClosedNow ClosedError = "chanws: connection closed by CloseNow, without a close handshake"
	// errKilled is the end of a connection by the listener that it belongs to.
	errKilled ClosedError = "chanws: connection closed by its listener, without a close handshake"
	// errAlreadyClosed is the error of a second Close or CloseNow.
	errAlreadyClosed ClosedError = "chanws: the connection has already been closed by an earlier Close or CloseNow"
)

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

// writeError returns the error for a write that failed with err. A timeout names the
// option that set it.
func (p *pump) writeError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("chanws: write: the peer took no byte within Options.WriteTimeout %v: %w", p.opts.WriteTimeout, err)
	}
	return networkError("write", err)
}

// unansweredClose returns the error for a peer that has not answered our close frame
// within d.
func (p *pump) unansweredClose(d time.Duration) error {
	limit := fmt.Sprintf("CloseTimeout %v", d)
	if d != p.closeTimeout { // see boundedCloseTimeout
		limit = d.String()
	}
	return fmt.Errorf("chanws: no answer to the close frame within %s: %w", limit, os.ErrDeadlineExceeded)
}

// noPong returns the close reason for a keepalive ping without a pong. It is the
// beginning of noPongError's text.
func (p *pump) noPong() string {
	return fmt.Sprintf("keepalive: no pong within Options.PongTimeout %v (Options.PingInterval %v)", p.opts.PongTimeout, p.opts.PingInterval)
}

// noPongError returns the error for a keepalive ping without a pong.
func (p *pump) noPongError() error {
	return fmt.Errorf("chanws: %s: %w", p.noPong(), os.ErrDeadlineExceeded)
}

// The limits that a peer has exceeded. The reasons go out in the close frame as well:
// they name the option, and have room in 123 bytes.

// frameTooLarge returns the violation of a frame with size bytes of payload.
func (p *pump) frameTooLarge(size int64) error {
	return &frame.Error{Code: 1009, Reason: fmt.Sprintf("frame of %d bytes, more than Options.MaxFrameSize %d", size, p.opts.MaxFrameSize)}
}

// messageTooLarge returns the violation of a message whose frame with header h is too
// much, after what has been assembled of it.
func (p *pump) messageTooLarge(h frame.Header) error {
	size := fmt.Sprintf("%d bytes", uint64(h.Length)+uint64(len(p.in.message.payload)))
	switch {
	case h.RSV1 || p.in.message.compressed:
		return p.inflatedTooLarge()
	case !h.Fin:
		size = "at least " + size
	}
	return &frame.Error{Code: 1009, Reason: fmt.Sprintf("message of %s, more than Options.MaxMessageSize %d", size, p.opts.MaxMessageSize)}
}

// inflatedTooLarge returns the violation of a compressed message, whose size is not
// known: decompression has stopped at the limit.
func (p *pump) inflatedTooLarge() error {
	return &frame.Error{Code: 1009, Reason: fmt.Sprintf("decompressed message of more than Options.MaxMessageSize %d bytes", p.opts.MaxMessageSize)}
}

// tooManyMessages returns the violation of [Options.Rate].
func (p *pump) tooManyMessages() error {
	return &frame.Error{Code: 1008, Reason: fmt.Sprintf("more messages than Options.MessageRate %v a second, burst %d", p.opts.Rate, max(p.opts.Burst, 1))}
}

// consumerTooSlow returns the end of a connection by [CloseSlow].
func (p *pump) consumerTooSlow() error {
	return &violation{&frame.Error{Code: 1008, Reason: fmt.Sprintf("consumer too slow: Options.EventBuffer %d is full", p.opts.EventBuffer)}, ErrOverflow}
}
