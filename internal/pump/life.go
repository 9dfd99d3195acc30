package pump

import (
	"errors"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// A state is how far the life of a connection has come. It only ever advances, and only
// [pump.advance] changes it.
type state int

const (
	// stateOpen: messages are accepted and frames are read.
	stateOpen state = iota
	// stateClosing: no further message is accepted, because our close frame is queued or
	// a write has failed. Frames are still read. What was accepted before is written
	// ahead of a close frame that was queued in its turn.
	stateClosing
	// stateEnded: err is decided, and nothing changes it any more. The pumps finish: our
	// close frame or answer goes out.
	stateEnded
	// stateAnnounced: Err, Context and Done report the end.
	stateAnnounced
	// stateOver: the terminal event is put and the event channel closed.
	stateOver
)

// A socketOwner is who closes the socket.
type socketOwner int

const (
	// pumpsOwn: both pumps use the socket; whoever aborts the connection closes it.
	pumpsOwn socketOwner = iota
	// readerOwns: the read pump closes the socket after the close handshake or after the
	// peer has had time to read our close frame. Nobody aborts that.
	readerOwns
	// aborted: the socket has been closed without a close handshake.
	aborted
)

// The ways to an end, and where they begin:
//
//	the peer's close frame, an error of the peer's, EOF, a reset    readLoop, by readEnded
//	a message that overflows the channel under CloseSlow            readLoop, by readEnded
//	a write that failed                                             writeLoop, by writeFailed; decided by
//	                                                                readEnded or drainOverdue
//	a Close in Send or Write, close(Send), Shutdown                 stateClosing; the peer's answer ends it in readEnded,
//	                                                                or the close timer in abort
//	Close, CloseContext                                             the same, and the caller waits; ctx ends it in abort
//	CloseNow, Abort, no answer to our close frame in time           abort
//	a write that stalled on a stream without deadlines              writeStalled, by abort
//	no pong in time                                                 pongOverdue, by fail
//
// Each goes from there through readLoop's finish, where the socket is closed and the
// terminal event put.

// advance changes the state, unless it is there already. Called with mu held.
func (p *pump) advance(to state) bool {
	if p.state >= to {
		return false
	}
	if p.state == stateOpen {
		close(p.closing)
		p.timers.pong.stop() // a peer that closes need not answer pings
	}
	p.state = to
	return true
}

// end decides the terminal event, unless it is decided. Called with mu held.
func (p *pump) end(err error) bool {
	if !p.advance(stateEnded) {
		return false
	}
	p.err = err
	return true
}

// fail ends the connection for an error on this side, with a close frame that says
// so. Called with mu held.
func (p *pump) fail(code int, reason string, err error) {
	if !p.end(p.delivery.failedError(err)) {
		return
	}
	p.queueCloseFrame(code, reason)
	p.interruptRead()
}

// abort ends the connection immediately and without a close frame, and does not wait
// for the pumps to notice. If the read pump owns the socket, its end stays as it is.
func (p *pump) abort(err error) {
	p.mu.Lock()
	p.end(p.delivery.failedError(err))
	p.abortSocket()
	p.mu.Unlock()
	p.wakeWriter()
	p.announce()
}

// beginLocally notes that this side begins the end, unless it has begun already. Called
// with mu held.
func (p *pump) beginLocally() {
	if p.state < stateEnded && p.writeErr == nil {
		p.closedLocally = true
	}
}

// ClosedLocally reports whether this side began the end of the connection.
func (p *pump) ClosedLocally() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closedLocally
}

// finish ends the connection after the read pump has read its last byte, for the cause
// given or for the one that was decided before.
func (p *pump) finish(cause error) {
	answered := p.readEnded(cause)
	p.wakeWriter()
	<-p.writerDone

	p.mu.Lock()
	linger := false
	if p.socket == pumpsOwn {
		p.socket = readerOwns
		linger = p.closeSent && !answered
	}
	p.mu.Unlock()
	p.announce()

	put := p.delivery.offerTerminal()
	if linger {
		p.linger()
	}
	p.closeSocket()
	if !put {
		p.delivery.putTerminal()
	}
	close(p.readerDone)
	p.wakeWriter() // see discard
}

// readEnded decides the end from what ended the reading, and queues the close frame that
// it calls for. It reports whether it was the peer's close frame.
func (p *pump) readEnded(cause error) (answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var received *closeReceived
	var breach *frame.Error
	switch {
	case errors.As(cause, &received):
		answered = true
		p.peerClosed = p.end(p.delivery.closedError(received.code, received.reason))
		p.queueCloseFrame(received.code, "")
	case errors.As(cause, &breach):
		if p.writeErr == nil {
			p.end(p.delivery.failedError(cause))
		}
		p.queueCloseFrame(breach.Code, breach.Reason)
	}
	if p.writeErr != nil {
		p.end(p.writeErr)
	}
	if p.end(p.delivery.failedError(networkError("read", cause))) || p.closeFrame == nil && !p.closeSent {
		p.abortSocket() // the peer is gone, or nothing can be said to it any more
		return answered
	}
	p.startCloseTimer(p.boundedCloseTimeout())
	return answered
}

// announce makes Err, Context and Done report the end, once, and returns when they do. It
// is called when the end is decided.
func (p *pump) announce() {
	p.announcing.Do(func() {
		p.mu.Lock()
		p.advance(stateAnnounced)
		err, afterEnd := p.err, p.afterEnd
		p.afterEnd = nil // it may refer to the user's connection, which is to be collected
		p.timers.stop()
		if isClosed(p.writerDone) {
			p.failRequests(err)
		}
		p.mu.Unlock()
		defer func() {
			p.cancel(err)
			if afterEnd != nil {
				afterEnd()
			}
		}()
		if p.opts.Trace.Ended != nil {
			p.opts.Trace.Ended(err)
		}
	})
}

// Err returns the terminal event after the end, and nil before.
func (p *pump) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state < stateAnnounced {
		return nil
	}
	return p.err
}

// refusal returns why no message is accepted any more, or nil. Called with mu held.
func (p *pump) refusal() error {
	switch {
	case p.state == stateOpen:
		return nil
	case p.state >= stateAnnounced:
		return p.err
	case p.writeErr != nil:
		return p.writeErr
	case p.state == stateClosing || p.closeFrame != nil:
		return errClosing
	}
	return p.err // about to be announced
}

// Closing returns a channel that is closed when no further message is written.
func (p *pump) Closing() <-chan struct{} { return p.closing }

// AfterEnd arranges for f to be called once, after Done reports the end. There is one f.
func (p *pump) AfterEnd(f func()) {
	p.mu.Lock()
	if p.state < stateAnnounced {
		p.afterEnd = f
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	<-p.ctx.Done()
	f()
}

// interruptRead makes the read pump notice that the end is decided. Called with mu held.
func (p *pump) interruptRead() {
	if p.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
		p.abortSocket() // a stream without deadlines
	}
}
