package chanws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chanws/chanws/internal/handshake"
)

// lastWords gives the terminal error of a connection on which a write has failed
// with err: that the peer has closed it may still be to be read. When the end takes
// too long, as it does when nobody reads, err has to do.
func (c *Client) lastWords(ctx context.Context, s *session, err error) error {
	patience := c.opts.CloseTimeout
	if patience <= 0 {
		patience = 5 * time.Second
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.conn.Done():
		return s.conn.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return err
	}
}

// mayReconnect reports whether s, which has ended with err, is to be replaced. err is a
// write's if the end is not known yet.
func (c *Client) mayReconnect(s *session, err error) bool {
	switch {
	case c.opts.Retry == nil || c.life.Err() != nil:
		return false
	case s.conn.Err() != nil:
		return s.passes()
	}
	return !errors.Is(err, net.ErrClosed) && c.redialer.delays.policy.Retry(err)
}

// A reconnect is under way until there is a connection, the policy has given up, or the
// client is closed. It has a goroutine of its own, so that reads and writes with little
// time can wait for it one after the other.
type reconnect struct {
	done chan struct{}
	err  error // set before done is closed
}

// reconnect replaces the session lost, unless that has happened already.
func (c *Client) reconnect(ctx context.Context, lost *session, loss error) error {
	r := c.startReconnect(lost, loss)
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startReconnect returns the reconnection that is to replace lost, or nil if lost has
// been replaced.
func (c *Client) startReconnect(lost *session, loss error) *reconnect {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != lost {
		return nil
	}
	if c.reconnecting == nil {
		c.reconnecting = &reconnect{done: make(chan struct{})}
		go c.runReconnect(c.reconnecting, lost, loss)
	}
	return c.reconnecting
}

func (c *Client) runReconnect(r *reconnect, lost *session, loss error) {
	c.redialer.delays.lived(lost.life.span())
	conn, err := c.connect(c.life, loss)
	switch {
	case err == nil && c.replace(conn):
	case c.life.Err() != nil:
		r.err = loss
	default:
		r.err = fmt.Errorf("%w; then %w", loss, err)
	}
	if r.err != nil {
		c.mu.Lock()
		c.reconnecting = nil
		c.mu.Unlock()
	}
	close(r.done)
}

// connect makes a connection, by as many attempts as the policy allows.
func (c *Client) connect(ctx context.Context, end error) (conn *Conn, err error) {
	for conn, err = range c.redialer.connect(ctx, end) {
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// open is one attempt: it dials and calls OnConnect.
func (c *Client) open(ctx context.Context) (*Conn, error) {
	conn, err := Dial(ctx, c.url, &c.opts.DialOptions)
	if err != nil || c.opts.OnConnect == nil {
		return conn, err
	}
	if err := c.callOnConnect(ctx, conn); err != nil {
		return nil, err
	}
	return conn, nil
}

// callOnConnect calls OnConnect and closes conn if that fails, or if ctx ends first.
func (c *Client) callOnConnect(ctx context.Context, conn *Conn) error {
	ready := false
	defer func() { // also when OnConnect panics
		if !ready {
			_ = conn.CloseNow()
		}
	}()
	during, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(conn.Context(), func() { cancel(conn.Err()) })()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = conn.CloseNow()
	})
	defer stop()
	err := c.opts.OnConnect(during, conn)
	var end error
	switch {
	case !stop():
		<-closed
		return fmt.Errorf("chanws: OnConnect: %w", handshake.Ended(ctx))
	case err == nil:
		ready = true
		return nil
	case !conn.ClosedLocally():
		end = conn.Err() // the peer may have refused what OnConnect asked for
	}
	if end != nil {
		return fmt.Errorf("chanws: OnConnect: %w; then %w", err, end)
	}
	return fmt.Errorf("chanws: OnConnect: %w", err)
}

// replace makes conn the current connection, unless the client has been closed. The
// reads stay with the lost ones, in order, until they have had all of each.
func (c *Client) replace(conn *Conn) bool {
	c.mu.Lock()
	if c.life.Err() != nil {
		c.mu.Unlock()
		conn.CloseNow()
		return false
	}
	s := c.newSession(conn)
	c.current.next = s
	c.current = s
	c.reconnecting = nil // whoever finds s ended needs another one
	drained := c.drainLost()
	c.mu.Unlock()
	s.start(c)
	for _, lost := range drained {
		lost.end()
	}
	return true
}

// drainLost keeps of the sessions that were lost before the reads came to them no
// more than their messages, and of those without messages nothing. It gives those
// whose connections are to be closed. Called with c.mu held.
func (c *Client) drainLost() (drained []*session) {
	for before := c.reading; before != c.current && before.next != c.current; {
		lost := before.next
		open := !lost.drained
		lost.drain()
		if open && lost.drained {
			drained = append(drained, lost)
		}
		if lost.drained && len(lost.unread) == 0 {
			before.next = lost.next
		} else {
			before = lost
		}
	}
	return drained
}

// shut makes the client's end known to its reads, writes and reconnections, and
// gives the connection that is still to be closed.
func (c *Client) shut() *Conn {
	c.end()
	c.mu.Lock()
	current := c.current
	var lost []*session
	for s := c.reading; s != current; s = s.next {
		lost = append(lost, s)
	}
	c.mu.Unlock()
	for _, s := range lost {
		s.end()
	}
	return current.conn
}
