package chanws

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/chanws/chanws/internal/handshake"
)

// Shutdown ends the listener in good order. It closes Conns, answers new handshakes
// and those in progress with 503, and sends a close frame 1001 on all connections
// at once. It returns nil when all have ended and the TCP listener is closed.
//
// When ctx ends first, the connections that are left are cut, with an [Error] that
// matches net.ErrClosed, and Shutdown returns an error that matches ctx.Err() as well
// as ctx's cause. [Listener.Close] cuts it short likewise; then it returns
// net.ErrClosed.
//
// Connections that were taken from Conns must still be closed by their users; the
// others are closed here. A second Shutdown waits for the first, at most until its
// own ctx ends, and returns nil.
func (l *Listener) Shutdown(ctx context.Context) error {
	if !l.begin() {
		select {
		case <-l.done:
			return nil
		default: // when both are true, that it is over counts
		}
		select {
		case <-l.done:
			return nil
		case <-ctx.Done():
			return handshake.Ended(ctx)
		}
	}
	stop := context.AfterFunc(ctx, func() { l.cancel(net.ErrClosed) })
	defer stop()
	if ctx.Err() != nil {
		l.cancel(net.ErrClosed)
	}
	killed := l.end()
	switch {
	case killed && ctx.Err() != nil:
		return handshake.Ended(ctx)
	case killed:
		return net.ErrClosed
	}
	return nil
}

// Close ends the listener and all its connections at once; their terminal [Error]
// matches net.ErrClosed. When it has returned no goroutine of the listener is left,
// but for an Authorize that has gone on for a second after its request's context
// ended. Connections that were taken from Conns must still be closed by their
// users. Close may be called any number of times, before, during and after
// Shutdown, and returns nil.
func (l *Listener) Close() error {
	l.cancel(net.ErrClosed)
	if l.begin() {
		l.end()
	} else {
		<-l.done
	}
	return nil
}

// begin makes the first caller the one who closes the listener.
func (l *Listener) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.closing = true
	close(l.draining)
	return true
}

// end closes everything, patiently until l.ctx ends, and tells whether it had to
// cut connections. The TCP listener goes last: a client that comes meanwhile is
// told 503.
func (l *Listener) end() (killed bool) {
	defer close(l.done)
	<-l.handOver
	if l.ctx.Err() == nil {
		for _, c := range l.connections() {
			c.pump.Shutdown(int(StatusGoingAway), goingAwayReason)
		}
	}
	var closing sync.WaitGroup
	for _, c := range l.untaken {
		closing.Go(func() { l.goAway(c) })
	}
	allEnded := func() bool { return len(l.live) == 0 && l.promised == 0 }
	if killed = !l.wait(l.ctx, allEnded); killed {
		for _, c := range l.connections() {
			c.pump.Abort()
		}
	}

	answered := func() bool { return len(l.attempts) == 0 }
	l.tcp.Close()
	grace, cancel := context.WithTimeout(l.ctx, handshakeGrace)
	l.wait(grace, answered)
	cancel()

	l.cancel(net.ErrClosed)
	l.server.Close()
	<-l.served
	l.wait(context.Background(), allEnded)
	closing.Wait()
	late, cancel := context.WithTimeout(context.Background(), handshakeGrace)
	l.wait(late, answered)
	cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	return killed || l.cut
}

// connections gives those that have not ended.
func (l *Listener) connections() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.live))
}

// wait waits until ready is true, which is asked under l.mu, or ctx ends. It tells
// whether ready was true.
func (l *Listener) wait(ctx context.Context, ready func() bool) bool {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !ready() {
		if ctx.Err() != nil {
			return false
		}
		l.changed.Wait()
	}
	return true
}
