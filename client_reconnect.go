package chanws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
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

// mayReconnect tells whether err is the loss of a connection, and what to do about
// it is in the options.
func (c *Client) mayReconnect(err error) bool {
	return c.opts.Retry != nil && c.life.Err() == nil && isLoss(err)
}

// isLoss tells whether err is of the network, and not of somebody's decision, as a
// Close, a *ProtocolError and ErrOverflow are.
func isLoss(err error) bool {
	var network net.Error
	return !errors.Is(err, net.ErrClosed) && (errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network))
}

// A reconnect is under way from the first read or write that needs it until there is
// a connection, or the policy has given up. Others wait for it.
type reconnect struct {
	done      chan struct{}
	err       error // set before done is closed
	abandoned bool  // whoever did it had no more time: set before done is closed
}

// reconnect replaces the session lost, unless that has happened already.
func (c *Client) reconnect(ctx context.Context, lost *session, loss error) error {
	for {
		c.mu.Lock()
		if c.current != lost {
			c.mu.Unlock()
			return nil
		}
		r := c.reconnecting
		if r == nil {
			r = &reconnect{done: make(chan struct{})}
			c.reconnecting = r
			c.mu.Unlock()
			return c.lead(ctx, r, lost, loss)
		}
		c.mu.Unlock()
		select {
		case <-r.done:
			if !r.abandoned {
				return r.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lead does a reconnection, and tells those who wait for it.
func (c *Client) lead(ctx context.Context, r *reconnect, lost *session, loss error) error {
	defer func() {
		c.mu.Lock()
		c.reconnecting = nil
		c.mu.Unlock()
		close(r.done)
	}()
	conn, err := c.redial(ctx, lost)
	switch {
	case err == nil && c.replace(conn):
	case c.life.Err() != nil:
		r.err = loss
	case ctx.Err() != nil:
		r.err, r.abandoned = ctx.Err(), true
	default:
		r.err = fmt.Errorf("%w; then %w", loss, err)
	}
	return r.err
}

// redial makes the connection that is to replace lost. It has the values of
// NewClient's context, and nothing of ctx's but its end.
func (c *Client) redial(ctx context.Context, lost *session) (*Conn, error) {
	dialing, cancel := context.WithCancel(c.life)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	c.delays.lived(lost.life.span())
	if err := wait(dialing, c.delays.next()); err != nil {
		return nil, err
	}
	return c.dial(dialing)
}

// dial makes a connection: with Retry by as many attempts as it takes.
func (c *Client) dial(ctx context.Context) (*Conn, error) {
	for failures := 1; ; failures++ {
		conn, err := Dial(ctx, c.url, &c.opts.DialOptions)
		if err == nil || c.opts.Retry == nil || ctx.Err() != nil || c.delays.policy.final(err, failures) {
			return conn, err
		}
		if ended := wait(ctx, c.delays.next()); ended != nil {
			return nil, fmt.Errorf("%w; last: %w", ended, err)
		}
	}
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
