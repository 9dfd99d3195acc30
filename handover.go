package chanws

import (
	"time"

	"github.com/chanws/chanws/internal/server"
)

// An accepted is a connection of a [Listener] as its groups see it. As long as nobody
// has received the connection from Conns, the end of a group makes the Listener close
// it and discard what it has received: nobody receives its events, so a full event
// channel would hide the peer's close frame.
type accepted struct {
	*member
	listener *Listener

	state     acceptedState // guarded by Listener.mu, as is the closing of withdrawn
	withdrawn chan struct{} // closed when a group has begun to end while the connection was offered
}

type acceptedState int

const (
	acceptedWaiting acceptedState = iota // in the queue, or not in it yet
	acceptedOffered                      // the hand-over loop waits for a receiver
	acceptedTaken                        // a user has received it
	acceptedClosed                       // the Listener closes it
)

func (l *Listener) newAccepted(c *Conn) *accepted {
	return &accepted{member: (*member)(c), listener: l, withdrawn: make(chan struct{})}
}

// GoAway begins to close the connection with 1001.
func (a *accepted) GoAway() {
	a.listener.mu.Lock()
	defer a.listener.mu.Unlock()
	switch {
	case a.state == acceptedWaiting:
		a.close()
	case a.state == acceptedTaken:
		a.member.GoAway()
	case a.state == acceptedOffered && !isClosed(a.withdrawn):
		close(a.withdrawn) // the loop knows whether somebody has just received it
	}
}

// close closes the connection in a goroutine of the Listener. Listener.mu is held.
func (a *accepted) close() {
	l := a.listener
	a.state = acceptedClosed
	l.closing++
	go func() {
		a.closeConn()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closing--
		l.closed.Broadcast()
	}()
}

// closeConn closes the connection. What it has received is discarded. It is in the server's
// group, which can cut it short.
func (a *accepted) closeConn() { _ = a.Conn().Close(StatusGoingAway, server.GoingAwayReason) }

// awaitClosing waits for the connections that close is closing.
func (l *Listener) awaitClosing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.closing > 0 {
		l.closed.Wait()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// enqueue hands a over, unless it is too late for that, and reports whether it did. If
// not, a is closed. A handler may come here after Listener.Close has waited for the others,
// so it closes the connection itself.
func (l *Listener) enqueue(a *accepted) bool {
	l.mu.Lock()
	waiting, stopped := a.state == acceptedWaiting, l.stopped
	switch {
	case waiting && stopped:
		a.state = acceptedClosed
	case waiting:
		l.queue <- a // there is space: it has a token of room
	}
	l.mu.Unlock()
	if waiting && stopped {
		a.closeConn()
	}
	return waiting && !stopped
}

// handOverLoop gives connections to the users in the order of their handshakes.
// None waits in a buffer of conns, so that each is either received by a user or
// closed by the Listener.
func (l *Listener) handOverLoop() {
	defer close(l.handOver)
	defer close(l.conns)
	warned := false
	for {
		select {
		case a := <-l.queue:
			l.deliver(a, &warned)
			<-l.room
		case <-l.draining:
			// Nothing is queued after draining is closed.
			for len(l.queue) > 0 {
				l.withdraw(<-l.queue)
				<-l.room
			}
			return
		}
	}
}

// deliver waits until a user receives a, or until the Listener has to close it. It logs
// the first time that this takes longer than a client may wait.
func (l *Listener) deliver(a *accepted, warned *bool) {
	if !l.offer(a) {
		return
	}
	var overdue <-chan time.Time
	wait := orDefault(l.timeout, defaultHandshakeTimeout)
	if !*warned {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		overdue = timer.C
	}
	for {
		select {
		case l.conns <- a.Conn():
			l.received(a)
			return
		case <-a.withdrawn:
			l.withdraw(a)
			return
		case <-l.draining:
			l.withdraw(a)
			return
		case <-overdue:
			overdue, *warned = nil, true
			l.logger.Warn("nobody receives connections from Listener.Conns", "addr", l.Addr(), "waited", wait)
		}
	}
}

// offer reports whether a may be handed over.
func (l *Listener) offer(a *accepted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.state == acceptedClosed {
		return false
	}
	a.state = acceptedOffered
	return true
}

// received notes that a user has received a. If a group has begun to end since a was
// offered, the connection learns it now.
func (l *Listener) received(a *accepted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.state = acceptedTaken
	if isClosed(a.withdrawn) {
		a.member.GoAway()
	}
}

// withdraw closes a connection of the loop that nobody has received.
func (l *Listener) withdraw(a *accepted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.state != acceptedClosed {
		a.close()
	}
}
