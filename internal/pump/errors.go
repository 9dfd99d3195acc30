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
	// ErrInvalidMessage matches the errors of messages that cannot be sent.
	ErrInvalidMessage = errors.New("invalid message")
	// ErrOverflow matches the errors of events that found the channel full.
	ErrOverflow = errors.New("event channel full")
)

// ErrNilContext is returned instead of a panic for a nil context.
var ErrNilContext = errors.New("chanws: nil context: want context.Background() or another")

// A ClosedError says what was closed, and by whom. It matches net.ErrClosed, whose own text
// says neither.
type ClosedError string

func (e ClosedError) Error() string { return string(e) }

// Unwrap returns net.ErrClosed.
func (e ClosedError) Unwrap() error { return net.ErrClosed }

const (
	// errClosing is the error of a message that comes after our close frame.
	errClosing ClosedError = "chanws: write after a close frame was sent"
	// errTooLate is the error of a message on Send that is not written any more.
	errTooLate ClosedError = "chanws: message sent after the connection ended, or after its close frame"
	// errClosedNow is the end of a connection by CloseNow.
	errClosedNow ClosedError = "chanws: connection closed by CloseNow, without a close handshake"
	// errKilled is the end of a connection by the listener that it belongs to.
	errKilled ClosedError = "chanws: connection closed by its listener, without a close handshake"
	// errAlreadyClosed is the error of a second Close or CloseNow.
	errAlreadyClosed ClosedError = "chanws: the connection has already been closed by an earlier Close or CloseNow"
)

// A violation is a protocol error that also matches another error.
type violation struct {
	breach *frame.Error
	is     error
}

func (v *violation) Error() string { return v.breach.Error() }

func (v *violation) Unwrap() []error { return []error{v.breach, v.is} }

// connectionLost says that the peer is gone without a close frame. It matches
// io.ErrUnexpectedEOF and what it wraps.
type connectionLost struct{ err error }

func (e *connectionLost) Error() string {
	if e.err == io.EOF || e.err == io.ErrUnexpectedEOF {
		return "chanws: connection dropped by the peer without a close frame"
	}
	return "chanws: connection dropped: " + e.err.Error()
}

func (e *connectionLost) Unwrap() error { return e.err }

func (e *connectionLost) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// lostErrors are the operating system's errors for a peer or a route that is gone.
var lostErrors = []error{
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
	syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENOTCONN,
}

// networkError returns an error of the stream in the form that users see.
func networkError(operation string, err error) error {
	for _, gone := range append(lostErrors, systemLostErrors...) {
		if errors.Is(err, gone) {
			return &connectionLost{err}
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

// The following errors name a limit that the peer has exceeded. Their reasons are also sent
// in the close frame, so they must fit into 123 bytes.

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
