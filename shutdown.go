package chanws

import "context"

// Shutdown ends the listener in good order. It closes Conns, answers new handshakes
// and those in progress with 503, and sends a close frame 1001 on all connections
// at once. It returns nil when all have ended and the TCP listener is closed.
//
// When ctx ends first, the connections that are left are cut, with an [Error] that
// matches net.ErrClosed, and Shutdown returns an error that matches ctx.Err() as well
// as ctx's cause. [Listener.Close] cuts it short likewise; then the
// error matches net.ErrClosed.
//
// Connections that were taken from Conns must still be closed by their users; the
// others are closed here. A second Shutdown waits for the first, at most until its
// own ctx ends, and returns nil.
func (l *Listener) Shutdown(ctx context.Context) error { return l.server.Shutdown(ctx) }

// Close ends the listener and all its connections at once; their terminal [Error]
// matches net.ErrClosed. When it has returned no goroutine of the listener is left,
// but for an Authorize that has gone on for a second after its request's context
// ended. Connections that were taken from Conns must still be closed by their
// users. Close may be called any number of times, before, during and after
// Shutdown, and returns nil.
func (l *Listener) Close() error {
	l.server.Close()
	return nil
}

// stopHandOver closes conns, and begins to close the connections that nobody has
// taken.
func (l *Listener) stopHandOver() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	close(l.draining)
	<-l.handOver
}
