package pump

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// end is how the connection ends. It is guarded by mu, and decided once: what comes
// first wins, and everything else only reports.
type end[E any] struct {
	decided  bool
	terminal E
	// writeErr is a write that failed. It becomes the end only if the peer's close
	// frame does not come first.
	writeErr error

	theirs    bool // the peer's close frame has come
	clean     bool // and is the end
	ours      bool // this side began the end, before anything else had decided it
	closeSent bool // ours is with the operating system
	severed   bool // the socket is closed, or is to be without more ado
	settled   bool // the pumps end the socket in good order: nobody cuts that
	published bool // Err and Done tell
	readDone  bool // the terminal event is put, the socket closed

	userClosed bool          // by Close or CloseNow, which makes everybody let go
	closing    chan struct{} // see Closing; nil until asked for
	then       func()        // see AfterEnd
}

func (e *end[E]) err() error { return any(e.terminal).(error) }

// failed gives the terminal Error for err.
func (p *Pump[E, M]) failed(err error) error { return any(p.voc.Failed(err)).(error) }

// decide settles the end, unless it is settled. Called with mu held.
func (p *Pump[E, M]) decide(terminal E) bool {
	if p.end.decided {
		return false
	}
	p.end.decided, p.end.terminal = true, terminal
	return true
}

// Closing gives a channel that is closed when nothing is written any more but what was
// taken before.
func (p *Pump[E, M]) Closing() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.closing == nil {
		p.end.closing = make(chan struct{})
		if p.outbox.closing || p.end.published {
			close(p.end.closing)
		}
	}
	return p.end.closing
}

// tellClosing closes the channel that Closing gave. Called with mu held, at every change
// that ends the taking of messages.
func (p *Pump[E, M]) tellClosing() {
	if p.end.closing == nil {
		return
	}
	select {
	case <-p.end.closing:
	default:
		close(p.end.closing)
	}
}

// AfterEnd has f called once, after Done tells the end. There is one f.
func (p *Pump[E, M]) AfterEnd(f func()) {
	p.mu.Lock()
	if !p.end.published {
		p.end.then = f
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	<-p.ctx.Done()
	f()
}

// SetCloseTimeout changes the time that the next close frame gives the peer.
func (p *Pump[E, M]) SetCloseTimeout(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeTimeout = d
}

// finish ends the connection after the read pump has read its last byte, for the
// cause given or for the one that was decided before.
func (p *Pump[E, M]) finish(cause error) {
	p.conclude(cause)
	p.nudge()
	<-p.written

	p.mu.Lock()
	terminal := p.end.terminal
	p.end.settled = !p.end.severed
	linger := p.end.settled && p.end.closeSent && !p.end.theirs
	p.mu.Unlock()
	p.publish()

	put := p.offerTerminal(terminal)
	if linger {
		p.linger()
	}
	p.closeConn()
	if !put {
		p.putTerminal(terminal)
	}
	p.mu.Lock()
	p.end.readDone = true
	p.release()
	p.mu.Unlock()
}

// conclude decides the end from what ended the reading, and queues the close frame
// that it calls for.
func (p *Pump[E, M]) conclude(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var closed *peerClosed
	var violated *frame.Error
	switch {
	case errors.As(cause, &closed):
		p.end.theirs = true
		p.end.clean = p.decide(p.voc.Closed(closed.code, closed.reason))
		p.queueUrgentClose(closed.code, "")
	case errors.As(cause, &violated):
		if p.end.writeErr == nil {
			p.decide(p.voc.Failed(cause))
		}
		p.queueUrgentClose(violated.Code, violated.Reason)
	}
	if p.end.writeErr != nil {
		p.decide(any(p.end.writeErr).(E))
	}
	if p.decide(p.voc.Failed(networkError("read", cause))) || p.outbox.urgentClose == nil && !p.end.closeSent {
		p.sever() // the peer is gone, or nothing can be said to it any more
		return
	}
	p.armCloseTimer(p.patient())
}

// publish makes Err and Done tell the end, once, and returns when they do. It is
// called when the end is decided and nothing more can be written.
func (p *Pump[E, M]) publish() {
	p.publishing.Do(func() {
		p.mu.Lock()
		p.end.published = true
		p.tellClosing()
		err, then := p.end.err(), p.end.then
		p.clocks.stop()
		if p.outbox.done {
			p.failEntries(err)
		}
		p.mu.Unlock()
		defer func() {
			p.cancel(err)
			if then != nil {
				then()
			}
		}()
		if p.opts.Trace.Ended != nil {
			p.opts.Trace.Ended(err)
		}
	})
}

// fail ends the connection for an error on this side, with a close frame that says
// so. Called with mu held.
func (p *Pump[E, M]) fail(code int, reason string, err error) {
	if !p.decide(p.voc.Failed(err)) {
		return
	}
	p.queueUrgentClose(code, reason)
	p.interruptRead()
}

// cut ends the connection at once and without a close frame, unless its end is
// settled already, and does not wait for the pumps to notice.
func (p *Pump[E, M]) cut(err error) {
	p.mu.Lock()
	p.decide(p.voc.Failed(err))
	p.sever()
	p.mu.Unlock()
	p.nudge()
	p.publish()
}

// sever closes the socket, but for a close frame on its last yards. Called with mu
// held.
func (p *Pump[E, M]) sever() {
	if p.end.settled || p.end.severed {
		return
	}
	p.end.severed = true
	p.closeSocket()
}

// interruptRead makes the read pump look at what was decided.
func (p *Pump[E, M]) interruptRead() {
	if p.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
		p.sever() // a stream without deadlines
	}
}

// linger gives the peer time to read our close frame before the socket is closed:
// closing with bytes unread resets the connection and may eat the frame.
func (p *Pump[E, M]) linger() {
	defer p.bounded(lingerTimeout).Stop()
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	p.conn.SetReadDeadline(time.Time{})
	for {
		if _, err := p.conn.Read(b[:]); err != nil {
			return
		}
	}
}

// closeConn closes the socket in good order.
func (p *Pump[E, M]) closeConn() {
	if _, encrypted := p.conn.(*tls.Conn); encrypted {
		// TLS says goodbye itself, and would wait five seconds for room to.
		defer p.bounded(goodbyeTimeout).Stop()
	}
	p.conn.Close()
}

// bounded cuts the socket after d, unless the timer is stopped before.
func (p *Pump[E, M]) bounded(d time.Duration) *time.Timer {
	return time.AfterFunc(d, p.closeSocket)
}

// closeSocket closes the socket without a word, also below TLS.
func (p *Pump[E, M]) closeSocket() {
	if encrypted, ok := p.conn.(*tls.Conn); ok {
		encrypted.NetConn().Close() // without the alert, which could block
		return
	}
	p.conn.Close()
}

// Close does the close handshake and waits for its end, at most until ctx ends.
func (p *Pump[E, M]) Close(ctx context.Context, code int, reason string) error {
	if wrong := checkClose(code, reason); wrong != "" {
		return fmt.Errorf("chanws: %w: %s", ErrInvalidMessage, wrong)
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		p.cutLocally(fmt.Errorf("chanws: close: %w", context.Cause(ctx)))
	})
	defer func() {
		if !stop() {
			<-over // its goroutine must not outlive the call
		}
	}()
	if !p.beginClose(func() { p.queueClose(code, reason) }) {
		p.pumps.Wait()
		return net.ErrClosed
	}
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.clean && p.end.closeSent {
		return nil
	}
	return p.end.err()
}

// CloseNow ends the connection at once and waits for the pumps.
func (p *Pump[E, M]) CloseNow() error {
	first := p.beginClose(func() {})
	p.cut(errCutNow)
	if !first {
		p.pumps.Wait()
		return net.ErrClosed
	}
	p.wait()
	return nil
}

// Shutdown queues a close frame and does not wait. It discards nothing, and the
// user's own Close is still due.
func (p *Pump[E, M]) Shutdown(code int, reason string) {
	p.mu.Lock()
	p.queueClose(code, reason)
	p.mu.Unlock()
	p.nudge()
}

// Kill ends the connection at once and does not wait. The user's own Close is still
// due.
func (p *Pump[E, M]) Kill() { p.cutLocally(errCutNow) }

// cutLocally is cut by this side's choice.
func (p *Pump[E, M]) cutLocally(err error) {
	p.mu.Lock()
	p.noteOurs()
	p.mu.Unlock()
	p.cut(err)
}

// noteOurs notes that this side begins the end. Called with mu held.
func (p *Pump[E, M]) noteOurs() {
	if !p.end.decided && p.end.writeErr == nil {
		p.end.ours = true
	}
}

// ClosedLocally reports whether this side began the end of the connection.
func (p *Pump[E, M]) ClosedLocally() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end.ours
}

// beginClose starts the user's own Close with what queue does under mu, unless it is
// not the first.
func (p *Pump[E, M]) beginClose(queue func()) bool {
	p.mu.Lock()
	if p.end.userClosed {
		p.mu.Unlock()
		return false
	}
	p.end.userClosed = true
	p.noteOurs()
	queue()
	p.release()
	p.mu.Unlock()
	p.free()
	p.nudge()
	return true
}

// release ends the write pump's discarding when both the connection and its user are
// done. Called with mu held.
func (p *Pump[E, M]) release() {
	if p.end.readDone && p.end.userClosed {
		p.outbox.released = true
		p.nudge()
	}
}

// wait waits for both pumps, and leaves Send empty, so that a loop with messages in hand
// finds room for them. Senders without end cannot hold it up.
func (p *Pump[E, M]) wait() {
	p.pumps.Wait()
	for range 4 * cap(p.out.send) {
		select {
		case _, ok := <-p.out.send:
			if !ok {
				return
			}
			p.counters.droppedMessages.Add(1)
		default:
			return
		}
	}
}
