package adapt

import (
	"context"
	"net"
	"sync"
	"time"
)

// stopGrace is how long a stop waits for the last answers to be written.
const stopGrace = time.Second

// GracefulStop ends the listener in good order. New handshakes, and those in
// progress, are answered with 503. Each connection hands over the messages that have
// come by then; what they are answered with is written, then a close frame 1001, and
// the peer has CloseTimeout to answer. GracefulStop returns nil when the last callback
// of the last connection has returned.
//
// When ctx ends first, the connections that are left are cut and ctx's cause is
// returned; their callbacks may still run then. [Listener.ImmediateStop] cuts it short
// likewise, and makes it return net.ErrClosed. A second GracefulStop waits for the
// first, at most until its own ctx ends. Do not call it in a callback of this listener,
// for whose return it would wait.
func (l *Listener) GracefulStop(ctx context.Context) error {
	if !l.beginStop(true) {
		if isClosed(l.done) { // also when ctx has ended too
			return nil
		}
		select {
		case <-l.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var err error
	idle := l.allIdle()
	select {
	case <-idle:
	default:
		select {
		case <-idle:
		case <-l.killed:
			err = net.ErrClosed
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err == nil && l.hasSevered() { // by ImmediateStop: all is idle then too
		err = net.ErrClosed
	}
	l.endStop()
	return err
}

// ImmediateStop ends the listener and cuts all its connections, whose OnError gets an
// error that matches net.ErrClosed. It does not wait for callbacks that still run. It
// may be called any number of times, also during GracefulStop, and returns nil.
func (l *Listener) ImmediateStop() error {
	if l.beginStop(false) {
		l.endStop()
		return nil
	}
	l.kill()
	<-l.done
	return nil
}

// stopping tells whether a stop has begun.
func (l *Listener) stopping() bool { return isClosed(l.draining) }

// beginStop makes the first caller the one who stops the listener. Only a graceful stop
// tells the connections: otherwise they could say goodbye before they are cut.
func (l *Listener) beginStop(graceful bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.stopped = true
	close(l.draining)
	if graceful {
		close(l.leaving)
	}
	return true
}

// allIdle is closed when there are no requests and no connections.
func (l *Listener) allIdle() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active > 0 {
		if l.idle == nil {
			l.idle = make(chan struct{})
		}
		return l.idle
	}
	idle := make(chan struct{})
	close(idle)
	return idle
}

// kill cuts all connections, and those that are still to come.
func (l *Listener) kill() {
	l.mu.Lock()
	if !l.cut {
		l.cut = true
		close(l.killed)
	}
	l.severed = l.severed || len(l.live) > 0
	var cutting sync.WaitGroup
	for b := range l.live {
		cutting.Go(func() { _ = b.caller.CloseNow() })
	}
	l.mu.Unlock()
	cutting.Wait()
}

// hasSevered tells whether kill has cut connections.
func (l *Listener) hasSevered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.severed
}

// endStop ends what is left.
func (l *Listener) endStop() {
	defer close(l.done)
	l.kill()
	l.mu.Lock()
	started := l.started
	l.mu.Unlock()
	if !started {
		l.tcp.Close()
		return
	}
	grace, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if l.server.Shutdown(grace) != nil {
		l.server.Close()
	}
	<-l.served
}
