package pump

import (
	"context"
	"fmt"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// Close does the close handshake and waits for its end, at most until ctx ends.
func (p *Pump[E, M]) Close(ctx context.Context, code int, reason string) error {
	if wrong := frame.CheckClose(code, reason); wrong != nil {
		return fmt.Errorf("chanws: %w: %w", ErrInvalidMessage, wrong)
	}
	if ctx == nil {
		return ErrNilContext
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		p.abortLocally(fmt.Errorf("chanws: close handshake not finished when the context ended: %w", context.Cause(ctx)))
	})
	defer func() {
		if !stop() {
			<-over // its goroutine must not outlive the call
		}
	}()
	if !p.beginUserClose(func() { p.queueClose(code, reason) }) {
		p.pumps.Wait()
		return errAlreadyClosed
	}
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peerClosed && p.closeSent {
		return nil
	}
	return p.err
}

// CloseNow ends the connection immediately and waits for the pumps.
func (p *Pump[E, M]) CloseNow() error {
	first := p.beginUserClose(func() {})
	p.abort(errClosedNow)
	if !first {
		p.pumps.Wait()
		return errAlreadyClosed
	}
	p.wait()
	return nil
}

// Shutdown queues a close frame and does not wait. It discards nothing, and the user's
// own Close is still due.
func (p *pump) Shutdown(code int, reason string) {
	p.mu.Lock()
	p.queueClose(code, reason)
	p.mu.Unlock()
	p.wakeWriter()
}

// Abort ends the connection immediately and does not wait. The user's own Close is still
// due.
func (p *pump) Abort() { p.abortLocally(errKilled) }

// abortLocally is abort by this side's choice.
func (p *pump) abortLocally(err error) {
	p.mu.Lock()
	p.beginLocally()
	p.mu.Unlock()
	p.abort(err)
}

// Abandon notes that nobody can reach the connection any more, so that nobody will close
// it. A live connection goes on, and frees itself once it has ended. Abandon does not
// block.
func (p *pump) Abandon() {
	p.mu.Lock()
	p.abandoned = true
	p.mu.Unlock()
	p.wakeWriter()
}

// SetCloseTimeout changes how long the peer may take to answer the next close frame.
func (p *pump) SetCloseTimeout(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeTimeout = d
}

// beginUserClose begins the user's own Close with what queue does under mu, unless it
// is not the first. From then on nobody waits for the consumer. Events that nobody has
// received are discarded, unless the terminal event is put already.
func (p *pump) beginUserClose(queue func()) bool {
	p.mu.Lock()
	if isClosed(p.userClosed) {
		p.mu.Unlock()
		return false
	}
	p.beginLocally()
	queue()
	close(p.userClosed)
	if p.state < stateOver {
		p.delivery.emptyEvents()
	}
	p.mu.Unlock()
	p.wakeWriter()
	return true
}

// wait waits for both pumps and leaves Send empty.
func (p *Pump[E, M]) wait() {
	p.pumps.Wait()
	p.emptySend()
}

// emptySend empties Send after the end, so that a loop with messages in hand finds room
// for them. Senders without end cannot hold it up.
func (p *Pump[E, M]) emptySend() {
	for range 4 * cap(p.send) {
		select {
		case _, ok := <-p.send:
			if !ok {
				return
			}
			p.counters.droppedMessages.Add(1)
		default:
			return
		}
	}
}
